/** Every column type with its edges, as SQL. No two values of a column are equal, so no two may have one digest. */
import { Buffer } from 'node:buffer';

export type Server = 'mysql' | 'mariadb';

export interface Species {
  readonly name: string;
  readonly declared: string;
  /** Literals or expressions; `ALLOW_INVALID_DATES`, not strict, UTC. */
  readonly values: readonly string[];
  /** Only this server has it; absent: both. */
  readonly only?: Server;
  /** How the checker compares it; absent: by the bytes of its text. */
  readonly as?: 'double' | 'float' | 'number' | 'raw' | 'json' | 'label';
}

const all = (
  prefix: string,
  as: Species['as'],
  types: Readonly<Record<string, readonly string[]>>,
): Species[] =>
  Object.entries(types).map(([declared, values], index) => ({
    name: `${prefix}${index}`,
    declared,
    values,
    ...(as === undefined ? {} : { as }),
  }));

const nines = (whole: number, scale: number): string => `${'9'.repeat(whole)}.${'9'.repeat(scale)}`;
const members = Array.from({ length: 64 }, (_, index) => `'m${index}'`).join(',');
const geometry = (text: string, srid = 0): string => `ST_GeomFromText('${text}', ${srid})`;

const integers = all('n', 'number', {
  TINYINT: ['-128', '-1', '0', '127'],
  'TINYINT(1)': ['0', '1', '2'],
  'TINYINT UNSIGNED': ['0', '255'],
  SMALLINT: ['-32768', '32767'],
  'MEDIUMINT UNSIGNED': ['0', '16777215'],
  'INT(8) UNSIGNED ZEROFILL': ['7', '12345678', '4294967295'],
  BIGINT: ['-9223372036854775808', '-9223372036854775807', '9007199254740993', '9223372036854775807'],
  'BIGINT UNSIGNED': ['18446744073709551615', '18446744073709551614', '0'],
  'BIGINT(20) UNSIGNED ZEROFILL': ['18446744073709551615', '1'],
  YEAR: ['1901', '2155', '0'],
  'BIT(1)': ["b'0'", "b'1'"],
  'BIT(8)': ["b'0'", "b'11111111'", "b'101'"],
  'BIT(33)': ["b'1'", "X'0100000000'"],
  'BIT(64)': ["X'FFFFFFFFFFFFFFFF'", "X'8000000000000000'", '1', '0'],
});

const decimals = all('dec', undefined, {
  'DECIMAL(65,30)': [
    nines(35, 30),
    `-${nines(35, 30)}`,
    `0.${'0'.repeat(29)}1`,
    `-0.${'0'.repeat(29)}1`,
    '0',
  ],
  'DECIMAL(1,0)': ['-9', '9', '0'],
  'DECIMAL(5,5) UNSIGNED ZEROFILL': ['0.00001', '0.99999'],
});

// prettier-ignore
const floats = [
  ...all('f', 'float', {
    FLOAT: ['3.4028234663852886e38', '-3.4028234663852886e38', '1.17549435e-38', '1e-45', '16777217', '16777216e1', '0.1', '-0.1', '1234567.8', "'-0'", '0', '1.0000001', '1.0000002'],
    'FLOAT(7,4)': ['999.9999', '-0.0001'],
  }),
  ...all('d', 'double', {
    DOUBLE: ['1.7976931348623157e308', '-1.7976931348623157e308', '2.2250738585072014e-308', '5e-324', '-5e-324', '0.1', '0.30000000000000004', '0.3e0', '9007199254740992',
      '9007199254740994', '123456789.12345679', "'-0'", '0', '1.74e-5', '1e15', '1e16', '3.3097939544242785e-7', '-1.0463013089851482e-6', '1.3173958780835e-15', '1e22', '1e23'],
    'DOUBLE(20,3)': ['12345678901234567.891', '-0.001'],
  }),
];

// prettier-ignore
const temporals = all('t', undefined, {
  DATE: ["'0000-00-00'", "'2024-00-00'", "'2024-02-00'", "'2023-02-31'", "'2024-02-29'", "'1000-01-01'", "'9999-12-31'"],
  DATETIME: ["'0000-00-00 00:00:00'", "'2024-00-10 10:00:00'", "'2024-02-31 01:02:03'", "'2026-03-29 02:30:00'"],
  'DATETIME(3)': ["'2026-03-29 02:30:00.001'", "'2026-03-29 02:30:00.002'"],
  'DATETIME(6)': ["'2026-03-29 02:30:00.000001'", "'9999-12-31 23:59:59.999999'"],
  TIME: ["'-838:59:59'", "'838:59:59'", "'-00:00:01'", "'00:00:00'"],
  'TIME(6)': ["'-838:59:58.999999'", "'-00:00:00.000001'", "'00:00:00.000001'", "'00:00:00'"],
  // Berlin turns its clocks back at 01:00 UTC: both instants are 02:30 there.
  'TIMESTAMP NULL': ["'2026-10-25 00:30:00'", "'2026-10-25 01:30:00'", "'0000-00-00 00:00:00'"],
  'TIMESTAMP(6) NULL': ["'1970-01-01 00:00:01.000001'", "'2038-01-19 03:14:07.999999'"],
});

// prettier-ignore
const TEXTS = ["'😀𝒳é'", "'e\u0301'", "'é'", "'e'", "'E'", "''", "' '", "'  '", "'a'", "'a '", `'a\\\\b\\'c"d\\0e\\n\\t\\r\\Z%_'`, "'~'", "'1:a'", "'|'", "'ß'", "'ss'", "'NULL'", "'\\\\N'"];
// prettier-ignore
const texts = all('s', undefined, {
  'VARCHAR(200) COLLATE utf8mb4_unicode_ci': TEXTS,
  'VARCHAR(200) COLLATE utf8mb4_bin': TEXTS,
  'CHAR(10) COLLATE utf8mb4_general_ci': ["'a'", "'Á'", "''", "' b'", "'😀'"],
  'VARCHAR(50) CHARACTER SET latin1': ["'ÄÖÜß€'", "X'8190'", "'a'", "'A'", "X'00FF'", "'a '"],
  'VARCHAR(50) CHARACTER SET utf8mb3': ["'é'", "'中文'", "'\u0000'", "'a\\\\'"],
  'VARCHAR(50) CHARACTER SET ucs2': ["'中文'", "'a'", "'\\n'"],
  'VARCHAR(50) CHARACTER SET utf16': ["'😀'", "'a'"],
  'VARCHAR(50) CHARACTER SET ascii': ["'a'", "'A'"],
  'VARCHAR(50) CHARACTER SET sjis': ["'日本'", "'a'"],
  'VARCHAR(50) CHARACTER SET big5': ["'中文'", "'a'"],
  TINYTEXT: ["REPEAT('x', 255)", "REPEAT('x', 254)", "''"],
  TEXT: ["REPEAT('é', 30000)", "'\\\\N'"],
  'MEDIUMTEXT CHARACTER SET latin1': ["REPEAT('é', 70000)", "'e'"],
  LONGTEXT: ["REPEAT('😀', 100000)", "CONCAT(REPEAT('😀', 99999), '😁')", "''"],
});

const EVERY_BYTE = `X'${Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)).toString('hex')}'`;
const binaries = all('b', 'raw', {
  'BINARY(4)': ["X'00'", "X'20'", "X'61626364'", "X'6162'"],
  'VARBINARY(20)': ["X'00'", "X'0000'", "''", "X'20'", "X'2020'", "X'FFFE'", "X'5C4E'"],
  TINYBLOB: ["X'27225C0A0D1A09'", "''"],
  BLOB: [EVERY_BYTE, "X'00'", "''"],
  MEDIUMBLOB: [`REPEAT(${EVERY_BYTE}, 300)`, "X'FF'"],
  LONGBLOB: ["REPEAT(X'00', 300000)", "REPEAT(X'0A', 300000)"],
});

const labels = all('l', 'label', {
  "ENUM('a','','c,d','q''t','ü','7','A b','z')": ['1', '2', '3', '4', '5', '6', '7', '8', '0'],
  "ENUM('x','y')": ["'x'", "'y'", '0'],
  "ENUM('ä','b') CHARACTER SET latin1": ["'ä'", "'b'"],
  "SET('x','y z','ü')": ["'x,ü'", "''", "'y z'", '7'],
  [`SET(${members})`]: ['18446744073709551615', '9223372036854775808', '1', '0'],
});

// prettier-ignore
const JSONS = [`{"b": 1, "a": [1.5, null, true, "x"]}`, `{"b": 1, "a": [1.5, null, true, "y"]}`, '18446744073709551615', '18446744073709551614', '-9223372036854775808', '9007199254740993', '9007199254740992',
  '1.0', '1', '-0.0', '0', '"1"', '1e300', '0.1', '0.30000000000000004', '1.74e-5', 'null', '"null"', 'true', '[]', '{}', '[[]]', '[{}]', '""', '{"a": 1, "a": 2}', '{"": null}',
  `{"😀": "\\\\u00e9\\\\n\\\\\\\\ \\\\"x"}`, `"\\\\u0000"`, `"a/b"`, '[1, 2]', '[2, 1]', '{"a": "b,c"}', '{"a": "b", "c": ""}'];
const documents: Species[] = [
  { name: 'js', declared: 'JSON', values: JSONS.map((text) => `'${text}'`), as: 'json' },
];

const geometries = all('g', 'raw', {
  GEOMETRY: [
    geometry('POINT(1 2)'),
    geometry('POINT(2 1)'),
    geometry('POINT(3 4)', 4326),
    geometry('POINT(4 3)', 4326),
    geometry('POINT(3 4)'),
    geometry('GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(0 0, 1 1))'),
  ],
  POINT: [geometry('POINT(0 0)'), geometry('POINT(1e300 -1e-300)')],
  LINESTRING: [geometry('LINESTRING(0 0, 1 1)'), geometry('LINESTRING(1 1, 0 0)')],
  POLYGON: [
    geometry('POLYGON((0 0, 4 0, 4 4, 0 4, 0 0), (1 1, 2 1, 2 2, 1 2, 1 1))'),
    geometry('POLYGON((0 0, 4 0, 4 4, 0 4, 0 0))'),
  ],
  MULTIPOINT: [geometry('MULTIPOINT(1 1, 2 2)')],
  MULTILINESTRING: [geometry('MULTILINESTRING((0 0, 1 1), (2 2, 3 3))')],
  MULTIPOLYGON: [geometry('MULTIPOLYGON(((0 0, 1 0, 1 1, 0 0)))')],
  GEOMETRYCOLLECTION: [
    geometry('GEOMETRYCOLLECTION(POINT(1 1))'),
    geometry('GEOMETRYCOLLECTION(POINT(1 1), POINT(2 2))'),
  ],
});

const one = (
  name: string,
  only: Server,
  declared: string,
  values: readonly string[],
  as?: Species['as'],
): Species => ({
  name,
  declared,
  values,
  only,
  ...(as === undefined ? {} : { as }),
});
const strangers: Species[] = [
  one(
    'vec',
    'mysql',
    'VECTOR(3)',
    ["STRING_TO_VECTOR('[1,2,3]')", "STRING_TO_VECTOR('[1,2,-0.0]')", "STRING_TO_VECTOR('[1,2]')"],
    'raw',
  ),
  one('i4', 'mariadb', 'INET4', ["'0.0.0.0'", "'255.255.255.255'"]),
  one('i6', 'mariadb', 'INET6', ["'::'", "'2001:db8::ff00:42:8329'", "'::ffff:1.2.3.4'"]),
  one('uu', 'mariadb', 'UUID', [
    "'6ccd780c-baba-1026-9564-5b8c656024db'",
    "'00000000-0000-0000-0000-000000000000'",
  ]),
];

/** Names that must be quoted, given to columns that have others' values. */
const odd: Species[] = [
  'select',
  'a`b',
  'sp ace',
  'ünï',
  '1digit',
  "quo'te",
  'dash-ed',
  'back\\slash',
  '%s?',
].map((name, index) => ({
  name,
  declared: `VARCHAR(30) DEFAULT 'd${index}'`,
  values: ["'one'", "'two'"],
}));

export const zooOf = (server: Server): Species[] =>
  [
    ...integers,
    ...decimals,
    ...floats,
    ...temporals,
    ...texts,
    ...binaries,
    ...labels,
    ...documents,
    ...geometries,
    ...strangers,
    ...odd,
  ]
    .filter(({ only }) => only === undefined || only === server)
    .map((species) =>
      server === 'mysql'
        ? species
        : { ...species, values: species.values.filter((value) => value !== MINUS_ZERO) },
    );

/** MariaDB prints -0 as 0, so nobody who asks it can tell. */
const MINUS_ZERO = "'-0'";

export const quoted = (name: string): string => `\`${name.replaceAll('`', '``')}\``;

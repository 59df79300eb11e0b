/** Where a target table is not what the source's rows need. Shared by preflight and by install. */
import type { Problem } from '../../domain/errors.ts';
import type { Column, Index, Table } from '../catalog.ts';

export interface Known {
  /** Columns of the target that fill themselves: a default, AUTO_INCREMENT. */
  readonly defaults?: ReadonlySet<string>;
  /** Further columns by which rows are found: the tenant's, the parent's. */
  readonly keys?: readonly string[];
}

/** @returns nothing when every row of the source fits the target, is found there by the same keys, and reads the same */
export function describeDifferences(source: Table, target: Table, known: Known = {}): Problem[] {
  return [
    ...engineDiffers(target),
    ...source.columns.flatMap((column) => columnDiffers(source, target, column, known)),
    ...extraColumns(source, target, known),
    ...keysDiffer(source, target),
  ];
}

const field = (table: Table, column?: Column): string =>
  `target.${table.name}${column === undefined ? '' : `.${column.name}`}`;

const engineDiffers = (target: Table): Problem[] =>
  target.engine === 'InnoDB'
    ? []
    : [
        {
          field: field(target),
          value: target.engine,
          problem: 'has an engine without transactions',
          remedy: 'make it InnoDB on the target',
        },
      ];

function columnDiffers(source: Table, target: Table, column: Column, known: Known): Problem[] {
  const there = target.columns.find(({ name }) => name === column.name);
  const say = (value: string, problem: string, remedy: string): Problem => ({
    field: field(target, column),
    value,
    problem,
    remedy,
  });
  if (there === undefined) return [say(column.declared, 'is missing on the target', 'add it to the target')];
  const problems: Problem[] = [];
  if (!holds(column, there)) {
    problems.push(
      say(there.declared, `is ${column.declared} on the source`, 'give the target the same type'),
    );
  } else if (!holdsCharset(column, there)) {
    const remedy = 'give the target the same character set, or utf8mb4';
    problems.push(say(there.charset ?? '', `has the character set ${column.charset} on the source`, remedy));
  } else if (isKey(source, target, column, known) && !sameCollation(column, there)) {
    const problem = `is a key column and has the collation ${column.collation} on the source`;
    problems.push(say(there.collation ?? '', problem, 'give the target the same collation'));
  }
  if (column.nullable !== there.nullable) {
    const mode = ({ nullable }: Column): string => (nullable ? 'NULL' : 'NOT NULL');
    problems.push(say(mode(there), `is ${mode(column)} on the source`, 'make both sides the same'));
  }
  if (column.generated !== there.generated) {
    const mode = ({ generated }: Column): string => (generated ? 'generated' : 'stored by writers');
    problems.push(say(mode(there), `is ${mode(column)} on the source`, 'make both sides the same'));
  }
  return problems;
}

/** Wider is fine as long as the text of a value, and so its digest, stays what it is. */
const WIDER: readonly (readonly string[])[] = [
  ['tinyint', 'smallint', 'mediumint', 'int', 'bigint'],
  ['tinytext', 'text', 'mediumtext', 'longtext'],
  ['tinyblob', 'blob', 'mediumblob', 'longblob'],
];

/** Types that only MariaDB has, and the characters that their text needs. */
const PRINTED: Readonly<Record<string, number>> = { inet4: 15, inet6: 39, uuid: 36 };

function holds(column: Column, there: Column): boolean {
  if (canonicalType(column.declared) === canonicalType(there.declared)) return true;
  // MariaDB's JSON is text: a LONGTEXT keeps it as it was written.
  if (column.type === 'json' && column.charset !== null && there.type === 'longtext') return true;
  const printed = PRINTED[column.type];
  if (printed !== undefined && (there.type === 'char' || there.type === 'varchar'))
    return (there.characters ?? 0) >= printed;
  if (column.unsigned !== there.unsigned) return false;
  if (column.type === there.type && (column.type === 'varchar' || column.type === 'varbinary')) {
    return (there.characters ?? 0) >= (column.characters ?? 0);
  }
  return WIDER.some((types) => {
    const [here, wanted] = [types.indexOf(column.type), types.indexOf(there.type)];
    return here >= 0 && wanted >= here;
  });
}

/** Display widths went away in MySQL 8.0.19; labels of ENUM and SET stay as they are written. */
function canonicalType(declared: string): string {
  if (/^(?:enum|set)\(/i.test(declared)) return declared;
  return declared
    .toLowerCase()
    .replace(/^(tinyint|smallint|mediumint|int|bigint|year)\(\d+\)/, '$1')
    .replace(/ zerofill$/, '')
    .replace(/^geomcollection$/, 'geometrycollection');
}

const UTF8 = /^utf8(?=_|$)/;
const charsetOf = (column: Column): string => (column.charset ?? '').replace(UTF8, 'utf8mb3');

/** utf8mb4 has every character of the others; binary bytes are no characters at all. */
function holdsCharset(column: Column, there: Column): boolean {
  if (column.charset === null || there.type === 'json') return true;
  return (
    charsetOf(column) === charsetOf(there) || (there.charset === 'utf8mb4' && column.charset !== 'binary')
  );
}

function sameCollation(column: Column, there: Column): boolean {
  const name = ({ collation }: Column): string => (collation ?? '').replace(UTF8, 'utf8mb3');
  return column.collation === null || name(column) === name(there);
}

function isKey(source: Table, target: Table, column: Column, { keys = [] }: Known): boolean {
  if (keys.includes(column.name)) return true;
  return [...source.indexes, ...target.indexes].some(
    (index) => index.unique && index.columns.includes(column.name),
  );
}

function extraColumns(source: Table, target: Table, { defaults = new Set() }: Known): Problem[] {
  return target.columns
    .filter(({ name }) => !source.columns.some((column) => column.name === name))
    .filter((column) => !column.nullable && !column.generated && !defaults.has(column.name))
    .map((column) => ({
      field: field(target, column),
      value: column.declared,
      problem: 'is NOT NULL without a default, and the source has no such column',
      remedy: 'give it a default, or let it be NULL',
    }));
}

function keysDiffer(source: Table, target: Table): Problem[] {
  const problems: Problem[] = [];
  const names = ({ primary }: Table): string => primary.map(({ name }) => name).join(', ');
  if (names(source) !== names(target)) {
    problems.push({
      field: field(target),
      value: names(target),
      problem: `is its primary key, but the source's is (${names(source)})`,
      remedy: 'give both sides the same primary key, in the same order',
    });
  }
  const [here, there] = [uniques(source), uniques(target)];
  const differ = (index: Index, problem: string, remedy: string): void => {
    problems.push({
      field: field(target),
      value: `${index.name} (${index.columns.join(', ')})`,
      problem,
      remedy,
    });
  };
  for (const [id, index] of here) {
    if (!there.has(id)) differ(index, 'is a unique key that the target lacks', 'add it to the target');
  }
  for (const [id, index] of there) {
    if (!here.has(id)) {
      differ(
        index,
        'is a unique key that the source lacks: rows of the source may not fit',
        'drop it on the target',
      );
    }
  }
  return problems;
}

const uniques = ({ indexes }: Table): ReadonlyMap<string, Index> =>
  new Map(
    indexes
      .filter(({ unique, name }) => unique && name !== 'PRIMARY')
      .map((index) => [`${index.columns.join('\0')}\0${index.prefixed}`, index]),
  );

/**
 * Digest of a window on one side: row count and 128 bits of checksum, computed in SQL.
 *
 * A row becomes an injective text (`E`): every variable-length column is length-prefixed, NULL is a token
 * that no value can print, the key is inside. `SHA2(E, 256)` is truncated to 128 bits and XORed over the
 * rows; since the key makes all rows different, no two cancel. Never XOR of CRC32: it is linear, so the
 * same change on an even number of rows vanishes. Never MD5 or SHA1: MySQL 9.6 and later have neither.
 * A row whose text exceeded max_allowed_packet has the hash NULL and would silently leave the XOR: it counts
 * as a random hash instead, so its window differs, and the list of hashes then names the fault. COUNT(h) would
 * say so too, but MySQL merges the derived table and hashes every row once more for it (2.0 times the time).
 * Source: research/reconciliation.md, sections A.3 and B.
 *
 * This file shares no code with `images.ts`: a mistake in how rows are copied must not hide itself here.
 */
import { DatabaseError, SchemaMismatchError } from '../domain/errors.ts';
import { storedColumns, type Column } from './catalog.ts';
import type { Database, Flavour } from './database.ts';
import { ident } from './sql.ts';
import type { TrackedTable } from './tenancy.ts';

export interface WindowDigest {
  readonly rows: number;
  /** 32 hex digits; zeros for an empty window. */
  readonly digest: string;
}

type Form = 'bare' | 'characters' | 'prefixed' | 'hashed';

interface Rule {
  readonly form: Form;
  readonly text: (value: string) => string;
}

const asText = (value: string): string => `CONVERT(${value} USING utf8mb4)`;

/** One row per type name. Bare: fixed alphabet, cannot hold a separator. */
// prettier-ignore
const RULES: Readonly<Record<string, Rule>> = {
  ...all(['tinyint', 'smallint', 'mediumint', 'int', 'bigint', 'year', 'bit'], 'bare', (value) => `${value} + 0`),
  ...all(['decimal', 'datetime', 'timestamp', 'date', 'time'], 'bare', (value) => value),
  // A bare FLOAT prints 6 digits and hides drift in the 7th; plus zero would lose the sign of -0. A DOUBLE prints
  // itself exactly only when bare.
  float: { form: 'bare', text: (value) => `${value} * 1e0` },
  double: { form: 'bare', text: (value) => value },
  ...all(['char', 'varchar', 'inet4', 'inet6', 'uuid'], 'characters', asText),
  ...all(['tinytext', 'text', 'mediumtext', 'longtext'], 'hashed', asText),
  ...all(['binary', 'varbinary'], 'prefixed', (value) => `HEX(${value})`),
  ...all(['tinyblob', 'blob', 'mediumblob', 'longblob', 'vector'], 'hashed', (value) => value),
  // By label, with its number: '' the error value (0) and a declared '' look alike. Not plus zero: MySQL makes a
  // double of the 64th member of a SET.
  ...all(['enum', 'set'], 'prefixed', (value) => `CONCAT(${asText(value)}, '#', CAST(${value} AS UNSIGNED))`),
  json: { form: 'hashed', text: (value) => `CAST(${value} AS CHAR CHARACTER SET utf8mb4)` },
  ...all(['geometry', 'point', 'linestring', 'polygon', 'multipoint', 'multilinestring', 'multipolygon', 'geomcollection', 'geometrycollection'],
    'hashed', (value) => value),
};

function all(types: readonly string[], form: Form, text: Rule['text']): Record<string, Rule> {
  return Object.fromEntries(types.map((type) => [type, { form, text }]));
}

type Side = TrackedTable['side'];

/**
 * JSON travels as text, and text has no DECIMAL: `1.10` becomes the double 1.1 on the target. So the source
 * is digested as it looks after one round trip through text; the target, which made that trip, as it is.
 */
const JSON_ONCE: Rule = {
  form: 'hashed',
  text: (value) =>
    `CAST(CAST(CAST(${value} AS CHAR CHARACTER SET utf8mb4) AS JSON) AS CHAR CHARACTER SET utf8mb4)`,
};

/**
 * How the source's JSON is digested. `arrived`: after that round trip. `stored`: as it is, at half the price;
 * equal digests of it prove as much, since what is stored on the target went through the source's own text.
 */
export type JsonForm = 'arrived' | 'stored';

/** The canonical text of one column, NULL as `~`. */
export function canonicalColumn(column: Column, row: string, side: Side, json: JsonForm = 'arrived'): string {
  const rule =
    column.type === 'json' && side === 'source' && json === 'arrived' ? JSON_ONCE : RULES[column.type];
  if (rule === undefined)
    throw new SchemaMismatchError(`no digest rule for type ${column.type} of column ${column.name}`);
  const value = `${row}.${ident(column.name)}`;
  const text = rule.text(value);
  const canonical = CANONICAL[rule.form](text, value);
  // The value is asked, not its text: a text too long for a packet is NULL, and must not pass for a NULL value.
  return column.nullable ? `IF(${value} IS NULL, '~', ${canonical})` : canonical;
}

const CANONICAL: Readonly<Record<Form, (text: string, value: string) => string>> = {
  bare: (text) => `CONCAT(${text})`,
  // As many characters in every character set, so the conversion is done once.
  characters: (text, value) => `CONCAT(CHAR_LENGTH(${value}), ':', ${text})`,
  prefixed: (text) => `CONCAT(LENGTH(${text}), ':', ${text})`,
  hashed: (text) => `SHA2(${text}, 256)`,
};

/** `SHA2(E, 256)` of one row: 64 hex digits, NULL when the text was too long for a packet. */
export const rowHash = (
  { table, side }: Pick<TrackedTable, 'table' | 'side'>,
  row: string,
  json: JsonForm = 'arrived',
): string =>
  `SHA2(CONCAT(${storedColumns(table)
    .map((column) => canonicalColumn(column, row, side, json))
    .join(", '|', ")}), 256)`;

const HASH_OR_RANDOM = 'IFNULL(h, SHA2(UUID(), 256))';

/** @param rows a query without LIMIT whose only column is `h`, the row hash */
export function digestSql(flavour: Flavour, rows: string): string {
  if (flavour === 'mysql') {
    return `SELECT COUNT(*) AS n, HEX(BIT_XOR(UNHEX(LEFT(${HASH_OR_RANDOM}, 32)))) AS digest FROM (${rows}) x`;
  }
  // MariaDB's BIT_XOR casts binary strings to 0 without an error, so it gets two 64-bit halves of a derived
  // table that the LIMIT keeps from being merged: each row is hashed once.
  const half = (from: number): string =>
    `LPAD(HEX(BIT_XOR(CAST(CONV(SUBSTR(h, ${from}, 16), 16, 10) AS UNSIGNED))), 16, '0')`;
  const once = `SELECT CONVERT(LEFT(${HASH_OR_RANDOM}, 32) USING latin1) AS h FROM (${rows}) r LIMIT 18446744073709551615`;
  return `SELECT COUNT(*) AS n, CONCAT(${half(1)}, ${half(17)}) AS digest FROM (${once}) x`;
}

export const EMPTY_DIGEST = '0'.repeat(32);

export async function digestOf(db: Database, rows: string): Promise<WindowDigest> {
  const { flavour } = await db.server();
  const [row] = await db.rows(digestSql(flavour, rows));
  const count = Number(row!['n']);
  return { rows: count, digest: count === 0 ? EMPTY_DIGEST : row!['digest']!.toLowerCase() };
}

/** @throws DatabaseError for the hash of a row whose text was too long for a packet */
export function hashed(side: Side, hash: string | null | undefined): string {
  if (typeof hash === 'string') return hash;
  throw new DatabaseError(
    `${side}: a row has no digest: it is longer than max_allowed_packet (raise it on both sides), or NULL stands where the source says NOT NULL`,
  );
}

const PROBE_ROWS = "SELECT SHA2('switchback', 256) AS h UNION ALL SELECT SHA2('probe', 256)";
/** XOR of the first 128 bits of both hashes. */
const PROBE_DIGEST = '06b0bd045ede492d9a768b7a55e47b47';

/** @throws DatabaseError when this server computes another digest than the known one: it must not be trusted */
export async function probeDigest(db: Database): Promise<void> {
  const found = await digestOf(db, PROBE_ROWS);
  if (found.digest !== PROBE_DIGEST || found.rows !== 2) {
    throw new DatabaseError(
      `${db.side}: the server computes an unknown digest for the probe; reconcile can't run on it`,
    );
  }
}

/**
 * The table of every bench: 10 columns with JSON, DOUBLE, DECIMAL, two DATETIME(6), text that is not ASCII and NULLs,
 * about 220 bytes a row as text, primary key `id`, keys (tenant_id, created_at) and (tenant_id, id).
 *
 * Every value is computed from the row's number inside the server, so both sides can make the same rows without a copy.
 */
import { createConnection, type Connection } from 'mysql2/promise';

import { SCHEMA } from './servers.ts';

export const ROWS = Number(process.env['BENCH_ROWS'] ?? 5_000_000);
export const TABLE = 'events';

/** Rows that one statement makes: small enough for a transaction of seconds. */
const CHUNK = 100_000;
const SLOTS = 1_000;

export const createSql = (name: string): string =>
  `CREATE TABLE ${SCHEMA}.\`${name}\` (id BIGINT NOT NULL PRIMARY KEY, tenant_id VARCHAR(32) NOT NULL, created_at DATETIME(6) NOT NULL,
   updated_at DATETIME(6) NOT NULL, status ENUM('new','sent','failed') NOT NULL, amount DECIMAL(12,4) NULL, score DOUBLE NULL,
   title VARCHAR(120) NOT NULL, payload JSON NOT NULL, note VARCHAR(255) NULL, KEY by_time (tenant_id, created_at), KEY by_id (tenant_id, id))
   ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`;

/** `count` tenants whose shares fall as 1/k, their rows interleaved in key order. */
export const tenantNames = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `tenant-${String(index + 1).padStart(2, '0')}`);

function tenantSql(count: number): string {
  const names = tenantNames(count);
  if (count === 1) return `'${names[0]!}'`;
  const weights = names.map((_, index) => 1 / (index + 1));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const ends = weights.map(
    (_, index) => (weights.slice(0, index + 1).reduce((sum, weight) => sum + weight, 0) / total) * SLOTS,
  );
  const slots = Array.from(
    { length: SLOTS },
    (_, slot) => names[ends.findIndex((end) => slot < end)] ?? names[0]!,
  );
  return `ELT(1 + CRC32(CONCAT('t', n)) % ${SLOTS}, ${slots.map((name) => `'${name}'`).join(', ')})`;
}

/** The values of row `n`. */
const rowSql = (tenants: number): string =>
  `n, ${tenantSql(tenants)}, TIMESTAMPADD(MICROSECOND, CRC32(CONCAT('u', n)) % 1000000, TIMESTAMPADD(SECOND, n, '2024-01-01 00:00:00.000000')),
   TIMESTAMPADD(MICROSECOND, CRC32(CONCAT('v', n)) % 1000000, TIMESTAMPADD(SECOND, n + 7, '2024-01-01 00:00:00.000000')),
   1 + CRC32(CONCAT('s', n)) % 3, IF(n % 7 = 0, NULL, CRC32(CONCAT('a', n)) % 100000000 / 10000), IF(n % 11 = 0, NULL, CRC32(CONCAT('d', n)) / 3e6),
   CONCAT('Nachricht für Kundin № ', n, ' – ', HEX(CRC32(n))),
   CAST(JSON_OBJECT('n', n, 'channel', ELT(1 + n % 3, 'sms', 'mail', 'push'), 'cost', CRC32(n) % 1000 / 8, 'tags', JSON_ARRAY('größe', HEX(CRC32(CONCAT('j', n))))) AS CHAR CHARACTER SET utf8mb4),
   IF(n % 5 = 0, NULL, CONCAT('note ', REPEAT(HEX(CRC32(n)), 1 + n % 3)))`;

/** The table with rows 1 to `rows`, made anew. @param url a user that may leave the binary log out */
export async function fill(
  url: string,
  { name = TABLE, rows = ROWS, tenants }: { name?: string; rows?: number; tenants: number },
): Promise<void> {
  const connection = await createConnection({ uri: url, charset: 'utf8mb4' });
  try {
    await connection.query('SET SESSION sql_log_bin = 0');
    await connection.query("SET SESSION time_zone = '+00:00'");
    await connection.query(`CREATE DATABASE IF NOT EXISTS ${SCHEMA} DEFAULT CHARACTER SET utf8mb4`);
    await sequence(connection);
    await connection.query(`DROP TABLE IF EXISTS ${SCHEMA}.\`${name}\``);
    await connection.query(createSql(name));
    for (let from = 0; from < rows; from += CHUNK) {
      await connection.query(
        `INSERT INTO ${SCHEMA}.\`${name}\` SELECT ${rowSql(tenants)} FROM (SELECT ${from} + i AS n FROM ${SCHEMA}.seq WHERE i <= ${Math.min(CHUNK, rows - from)}) s`,
      );
    }
    await connection.query(`ANALYZE TABLE ${SCHEMA}.\`${name}\``);
  } finally {
    await connection.end();
  }
}

async function sequence(connection: Connection): Promise<void> {
  await connection.query(`CREATE TABLE IF NOT EXISTS ${SCHEMA}.seq (i INT NOT NULL PRIMARY KEY)`);
  const digits = Array.from({ length: 10 }, (_, digit) => `SELECT ${digit} AS d`).join(' UNION ALL ');
  const places = [1, 10, 100, 1_000, 10_000];
  const sum = places.map((place, index) => `${place} * t${index}.d`).join(' + ');
  await connection.query(
    `INSERT IGNORE INTO ${SCHEMA}.seq SELECT 1 + ${sum} AS i FROM ${places.map((_, index) => `(${digits}) t${index}`).join(', ')} ORDER BY i`,
  );
}

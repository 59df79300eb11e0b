/**
 * Which files hold a table's rows, and since when: what tells a TRUNCATE from an ALTER.
 *
 * InnoDB numbers every table and partition anew when it is rebuilt, truncated or exchanged; the table's
 * creation time changes only with an ALTER. So new numbers under the old time mean that rows went without a
 * trigger (seen the same on MySQL 9.7 and MariaDB 10.11), and new numbers under a new time mean a rebuild,
 * which keeps rows and triggers: OPTIMIZE, FORCE, any copying ALTER.
 */
import type { Database } from './database.ts';
import { literal } from './sql.ts';

export interface Incarnation {
  /** Whole seconds of the server's clock. */
  readonly created: string;
  /** InnoDB's number by partition; the whole table is the partition `''`. */
  readonly numbers: Readonly<Record<string, string>>;
}

export async function readIncarnations(
  source: Database,
  schema: string,
  names: readonly string[],
): Promise<Map<string, Incarnation>> {
  if (names.length === 0) return new Map();
  const { flavour, version } = await source.server();
  const view = flavour === 'mysql' && !version.startsWith('5.') ? 'INNODB_TABLES' : 'INNODB_SYS_TABLES';
  const prefix = `${fileName(schema)}/`;
  const [tables, files] = await Promise.all([
    source.rows(
      `SELECT TABLE_NAME AS name, CREATE_TIME AS created FROM information_schema.TABLES
       WHERE TABLE_SCHEMA = ${literal(schema)} AND TABLE_NAME IN (${names.map(literal).join(', ')}) AND TABLE_TYPE = 'BASE TABLE'`,
    ),
    source.rows(
      `SELECT SUBSTRING(NAME, ${prefix.length + 1}) AS name, TABLE_ID AS id FROM information_schema.${view}
       WHERE LEFT(NAME, ${prefix.length}) = ${literal(prefix)}`,
    ),
  ]);
  const numbers = new Map<string, Record<string, string>>();
  for (const row of files) {
    const [name, ...partition] = row['name']!.split(/#p#/i);
    numbers.set(name!, { ...numbers.get(name!), [partition.join('/')]: row['id']! });
  }
  return new Map(
    tables.map((row) => [
      row['name']!,
      { created: row['created'] ?? '', numbers: numbers.get(fileName(row['name']!)) ?? {} },
    ]),
  );
}

/** A name as InnoDB spells it; exact for ASCII. */
const fileName = (name: string): string =>
  name.replaceAll(/[^A-Za-z0-9_]/g, (char) => `@${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** @returns what happened to rows without a trigger; null: nothing, or a rebuild that keeps them */
export function rowsLost(was: Incarnation, is: Incarnation): string | null {
  const names = Object.keys(was.numbers);
  const gone = names.filter((name) => is.numbers[name] === undefined);
  const renewed = names.filter((name) => is.numbers[name] !== was.numbers[name] && !gone.includes(name));
  if (gone.length + renewed.length === 0) return null;
  if (was.created === is.created)
    return gone.length === 0 && renewed.length === names.length
      ? 'was truncated'
      : `lost rows by TRUNCATE or EXCHANGE of partition ${[...renewed, ...gone].join(', ')}`;
  return gone.length > 0 && !isRebuilt(was, is)
    ? `lost partition ${gone.join(', ')} with its rows, or had it reorganised`
    : null;
}

/** Are all of its files new? A TRUNCATE right before the ALTER would look the same. */
export const isRebuilt = (was: Incarnation, is: Incarnation): boolean =>
  Object.values(is.numbers).every((id) => !Object.values(was.numbers).includes(id));

/**
 * Does capture still stand? What stands is compared with what was installed, not with what a newer program
 * would install. A trigger that is gone, altered or made anew, a table that is gone, swapped or truncated:
 * writes may have passed without a journal row. A rebuild keeps triggers and rows, and is no loss.
 */
import { createHash } from 'node:crypto';

import type { Database, Session } from './database.ts';
import { columnsOfShape } from './fingerprint.ts';
import { isRebuilt, readIncarnations, rowsLost, type Incarnation } from './incarnation.ts';
import { ident, literal, qualified } from './sql.ts';
import { homes, ofHome, ownerLiteral, type Home, type Pair } from './tracked.ts';
import type { Lost } from './lost-capture.ts';
import { TRIGGER_PREFIX, type Trigger } from './triggers.ts';

export interface StandingTrigger {
  readonly table: string;
  readonly body: string;
  /** Made anew, it has another time, whatever it says. */
  readonly created: string | null;
}

export type Standing = ReadonlyMap<string, StandingTrigger>;

const compact = (body: string): string => body.replaceAll(/\s+/g, ' ').trim();

export async function standingTriggers(pair: Home): Promise<Standing> {
  const rows = await pair.source.rows(
    `SELECT TRIGGER_NAME AS name, EVENT_OBJECT_TABLE AS tbl, ACTION_STATEMENT AS body, CREATED AS created FROM information_schema.TRIGGERS
     WHERE TRIGGER_SCHEMA = ? AND TRIGGER_NAME LIKE ${literal(`${TRIGGER_PREFIX.replace('_', String.raw`\_`)}%`)}`,
    [pair.sourceSchema],
  );
  return new Map(
    rows.map((row) => [
      row['name']!,
      { table: row['tbl']!, body: row['body'] ?? '', created: row['created'] ?? null },
    ]),
  );
}

export function stands(standing: Standing, trigger: Trigger): boolean {
  const found = standing.get(trigger.name);
  return found?.table === trigger.table && compact(found.body) === compact(trigger.body);
}

const bodyHash = (table: string, body: string): string =>
  createHash('sha256')
    .update(`${table}\0${compact(body)}`)
    .digest('hex');

/** After an install: these triggers, as the server has them now. */
export async function recordTriggers(
  session: Session,
  home: Home,
  triggers: readonly Trigger[],
  standing: Standing,
): Promise<void> {
  const recorded = qualified(home.control, 'capture_trigger');
  await session.run(`DELETE FROM ${recorded} WHERE ${ofHome(home)}`);
  for (const { name, table, body } of triggers) {
    await session.run(
      `INSERT INTO ${recorded} (owner, name, table_name, body_hash, created) VALUES (${ownerLiteral(home)}, ?, ?, ?, ?)`,
      [name, table, bodyHash(table, body), standing.get(name)?.created ?? null],
    );
  }
}

interface LostTable {
  readonly table: string;
  /** One sentence without its full stop, with the table in it. */
  readonly why: string;
}

/**
 * Where the application mirrors nothing stands, and nothing is lost.
 *
 * A rebuild that kept the rows is written down, so that a later TRUNCATE is told from it.
 */
export async function lostCapture(pair: Pair): Promise<Lost[]> {
  const lost: Lost[] = [];
  const count = await countTruncates(pair.source);
  // Not known at a process's first look: then a rebuild is taken for one, and reconcile finds what is extra.
  const truncated = count > (truncates.get(pair.source) ?? Number.POSITIVE_INFINITY);
  for (const home of await homes(pair)) {
    const { owner, sourceSchema } = home;
    const found = await lostIn(home, truncated);
    lost.push(
      ...found.map(({ table, why }) => ({
        table,
        owner,
        why: owner === null ? why : `${sourceSchema}: ${why}`,
      })),
    );
  }
  if (lost.length === 0) truncates.set(pair.source, count);
  return lost;
}

async function lostIn(pair: Home, truncated: boolean): Promise<LostTable[]> {
  const installed = await pair.source.rows(
    `SELECT name, created, source_shape FROM ${qualified(pair.control, 'tracked_table')} WHERE installed_at IS NOT NULL AND ${ofHome(pair)}
     AND (SELECT capture FROM ${qualified(pair.control, 'version')} WHERE id = 1) = 'triggers'`,
  );
  if (installed.length === 0) return [];
  const names = installed.map((row) => row['name']!);
  const standing = await standingTriggers(pair);
  const incarnations = await readIncarnations(pair.source, pair.sourceSchema, names);
  const lost = new Map<string, string>();
  for (const one of await lostTriggers(pair, standing, incarnations)) lost.set(one.table, one.why);
  for (const one of await brokenTriggers(pair, standing, installed)) lost.set(one.table, one.why);
  for (const row of installed) {
    const name = row['name']!;
    const is = incarnations.get(name);
    if (lost.has(name)) continue;
    if (is === undefined) {
      lost.set(name, `table ${name} is gone or was renamed`);
      continue;
    }
    const was = JSON.parse(row['created']!) as Incarnation;
    const hidden = truncated && isRebuilt(was, is) && (await isSmall(pair, name));
    const what = rowsLost(was, is) ?? (hidden ? 'was rebuilt beside a TRUNCATE, perhaps its own' : null);
    if (what !== null) lost.set(name, `table ${name} ${what}`);
    else if (row['created'] !== JSON.stringify(is)) await keep(pair, name, is);
  }
  return [...lost].map(([table, why]) => ({ table, why }));
}

async function lostTriggers(
  pair: Home,
  standing: Standing,
  tables: ReadonlyMap<string, Incarnation>,
): Promise<LostTable[]> {
  const recorded = await pair.source.rows(
    `SELECT name, table_name, body_hash, created FROM ${qualified(pair.control, 'capture_trigger')} WHERE ${ofHome(pair)}`,
  );
  return recorded.flatMap((row): LostTable[] => {
    const [name, table] = [row['name']!, row['table_name']!];
    const found = standing.get(name);
    const say = (what: string): LostTable[] => [{ table, why: `trigger ${name} on ${table} ${what}` }];
    if (found === undefined)
      return tables.has(table)
        ? say('is gone')
        : [{ table, why: `table ${table} is gone, and its triggers with it` }];
    if (found.table !== table)
      return say(`was altered: it stands on ${found.table}, so ${table} was renamed or swapped`);
    if (bodyHash(table, found.body) !== row['body_hash']) return say('was altered');
    const remade = row['created'] !== null && found.created !== row['created'];
    return remade ? say('was dropped and created again') : [];
  });
}

/** A trigger that names a column which is no longer there fails every write that fires it. */
async function brokenTriggers(
  pair: Pair,
  standing: Standing,
  installed: readonly Readonly<Record<string, string | null>>[],
): Promise<LostTable[]> {
  const tables = [
    ...new Set([
      ...[...standing.values()].map(({ table }) => table),
      ...installed.map((row) => row['name']!),
    ]),
  ];
  const rows = await pair.source.rows(
    `SELECT TABLE_NAME AS tbl, COLUMN_NAME AS name FROM information_schema.COLUMNS
     WHERE TABLE_SCHEMA = ? AND TABLE_NAME IN (${tables.map(literal).join(', ')})`,
    [pair.sourceSchema],
  );
  const present = new Set(rows.map((row) => `${row['tbl']}\0${row['name']}`.toLowerCase()));
  const lacks = (table: string, column: string): boolean =>
    rows.some((row) => row['tbl'] === table) && !present.has(`${table}\0${column}`.toLowerCase());
  const renamed = installed.flatMap((row) =>
    columnsOfShape(row['source_shape'] ?? '')
      .filter((column) => lacks(row['name']!, column))
      .map((column) => ({ table: row['name']!, column })),
  );
  return [...standing].flatMap(([name, { table, body }]): LostTable[] => {
    const own = [...body.matchAll(/\b(?:OLD|NEW)\.`((?:[^`]|``)+)`/g)]
      .map((match) => ({ table, column: match[1]!.replaceAll('``', '`') }))
      .filter(({ column }) => lacks(table, column));
    const others = renamed.filter(
      (one) =>
        one.table !== table &&
        body.includes(qualified(pair.sourceSchema, one.table)) &&
        body.includes(`.${ident(one.column)}`),
    );
    const [first] = [...own, ...others];
    if (first === undefined) return [];
    const column = `column ${first.column} of ${first.table}`;
    return [
      {
        table,
        why: `trigger ${name} on ${table} needs ${column}, which is gone or renamed: writes to ${table} fail until an install`,
      },
    ];
  });
}

const keep = (pair: Home, name: string, is: Incarnation) =>
  pair.source.run(
    `UPDATE ${qualified(pair.control, 'tracked_table')} SET created = ? WHERE name = ? AND ${ofHome(pair)}`,
    [JSON.stringify(is), name],
  );

const FEW_ROWS = 1_000;

/** What a TRUNCATE of a moment ago leaves: the rows that were inserted since. */
async function isSmall(pair: Pair, name: string): Promise<boolean> {
  const rows = await pair.source.rows(
    `SELECT 1 AS one FROM ${qualified(pair.sourceSchema, name)} LIMIT ${FEW_ROWS}`,
  );
  return rows.length < FEW_ROWS;
}

const truncates = new WeakMap<Database, number>();

/** Statements of this server since its start. */
async function countTruncates(source: Database): Promise<number> {
  const [row] = await source.rows("SHOW GLOBAL STATUS LIKE 'Com_truncate'");
  return Number(row?.['Value'] ?? 0);
}

/**
 * Installs capture, and notices when it is lost.
 *
 * CREATE TRIGGER waits for open transactions and everybody queues behind it, so it gives up after a
 * second, backs off and names who is in the way. The start barrier of a table has passed when its
 * triggers stand and no XA transaction is prepared (one would commit without a journal row).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createHash } from 'node:crypto';

import { DatabaseError, LostCaptureError, TransientDatabaseError } from '../domain/errors.ts';
import type { TablePlan } from '../domain/plan.ts';
import { declareLost } from './lost-capture.ts';
import { readForeignKeys, readTables } from './catalog.ts';
import type { Database, Session } from './database.ts';
import { literal, qualified } from './sql.ts';
import { loadTracked, type Pair } from './tracked.ts';
import {
  createTriggerSql,
  dropTriggerSql,
  planTriggers,
  TRIGGER_PREFIX,
  type CaptureInput,
  type Trigger,
} from './triggers.ts';

const ATTEMPTS = 60;

/** Gives every table of the plan its number; numbers are never reused. */
export async function registerTables(pair: Pair, tables: readonly TablePlan[]): Promise<void> {
  for (const { name, tenancy, time } of tables) {
    await pair.source.run(
      `INSERT INTO ${qualified(pair.control, 'tracked_table')} (name, tenancy, time_column) VALUES (?, ?, ?)
       ON DUPLICATE KEY UPDATE tenancy = VALUES(tenancy),
         time_changed = IF(time_column <=> VALUES(time_column), time_changed, NULL), time_column = VALUES(time_column)`,
      [name, JSON.stringify(tenancy), time],
    );
  }
}

export async function captureInput(pair: Pair): Promise<CaptureInput> {
  const tracked = (await loadTracked(pair)).all();
  const foreignKeys = await readForeignKeys(pair.source, pair.sourceSchema);
  const names = new Set(tracked.map(({ table }) => table.name));
  const otherNames = [...new Set(foreignKeys.flatMap((key) => [key.table, key.parent]))].filter(
    (name) => !names.has(name),
  );
  const others = await readTables(pair.source, pair.sourceSchema, otherNames);
  return {
    schema: pair.sourceSchema,
    control: pair.control,
    tables: tracked,
    foreignKeys,
    others: new Map(others.map((table) => [table.name, table])),
  };
}

/** Statements that `installCapture` would run now, for the dry run. */
export async function captureSql(pair: Pair): Promise<string[]> {
  const input = await captureInput(pair);
  const standing = await standingTriggers(pair);
  return planTriggers(input)
    .filter((trigger) => !stands(standing, trigger))
    .map((trigger) => createTriggerSql(input.schema, trigger));
}

/**
 * Idempotent: a trigger that stands as planned is left alone, one that differs is replaced.
 *
 * @param report called with a line when somebody is in the way
 * @throws TransientDatabaseError when a table stays locked for a minute, naming the blocker
 */
export async function installCapture(pair: Pair, report: (line: string) => void = () => {}): Promise<void> {
  const lost = await lostCapture(pair);
  if (lost.length > 0) await declareLost(pair, lost);
  const input = await captureInput(pair);
  const standing = await standingTriggers(pair);
  const planned = planTriggers(input);
  for (const trigger of planned) {
    if (!stands(standing, trigger)) await installTrigger(pair, input.schema, trigger, report);
  }
  const names = new Set(planned.map((trigger) => trigger.name));
  for (const name of standing.keys()) {
    if (!names.has(name))
      await impatiently(pair, name, report, (session) => session.run(dropTriggerSql(input.schema, name)));
  }
  await passBarrier(pair.source);
  const created = await incarnations(pair.source, input);
  await pair.source.transaction(async (session) => {
    await recordTriggers(session, pair.control, planned);
    for (const { id, table } of input.tables) {
      await session.run(
        `UPDATE ${qualified(pair.control, 'tracked_table')} SET created = ?, installed_at = NOW(6) WHERE id = ?`,
        [created.get(table.name) ?? table.created, id],
      );
    }
  });
}

export async function uninstallCapture(
  pair: Pair,
  report: (line: string) => void = () => {},
): Promise<string[]> {
  const names = [...(await standingTriggers(pair)).keys()];
  for (const name of names) {
    await impatiently(pair, name, report, (session) => session.run(dropTriggerSql(pair.sourceSchema, name)));
  }
  await pair.source.transaction(async (session) => {
    await recordTriggers(session, pair.control, []);
    await session.run(`UPDATE ${qualified(pair.control, 'tracked_table')} SET installed_at = NULL`);
  });
  return names;
}

async function installTrigger(
  pair: Pair,
  schema: string,
  trigger: Trigger,
  report: (line: string) => void,
): Promise<void> {
  await impatiently(pair, trigger.table, report, async (session) => {
    await session.run("SET @switchback_mode = @@SESSION.sql_mode, SESSION sql_mode = ''");
    try {
      await session.run(dropTriggerSql(schema, trigger.name));
      await session.run(createTriggerSql(schema, trigger));
    } finally {
      await session.run('SET SESSION sql_mode = @switchback_mode');
    }
  });
}

/** Waits at most one second for the table's metadata lock, since everybody queues behind the wait. */
async function impatiently(
  pair: Pair,
  table: string,
  report: (line: string) => void,
  use: (session: Session) => Promise<unknown>,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await pair.source.session(async (session) => {
        await session.run('SET SESSION lock_wait_timeout = 1');
        await use(session);
        await session.run('SET SESSION lock_wait_timeout = 31536000');
      });
      return;
    } catch (error) {
      if (!(error instanceof TransientDatabaseError) || error.errno !== 1205) throw error;
      const blocker = await oldestTransaction(pair.source);
      if (attempt === ATTEMPTS)
        throw new TransientDatabaseError(`source: ${table} stays locked; ${blocker}`, 1205);
      if (attempt % 5 === 1) report(`waiting for ${table}: ${blocker}`);
      await sleep(Math.min(200 * attempt, 2_000));
    }
  }
}

async function oldestTransaction(source: Database): Promise<string> {
  const [row] = await source.rows(
    `SELECT trx_mysql_thread_id AS id, TIMESTAMPDIFF(SECOND, trx_started, NOW()) AS age FROM information_schema.INNODB_TRX
     WHERE trx_mysql_thread_id <> CONNECTION_ID() ORDER BY trx_started LIMIT 1`,
  );
  return row === undefined
    ? 'no open transaction is visible'
    : `the oldest open transaction is connection ${row['id']}, open for ${row['age']} s`;
}

/** @throws TransientDatabaseError while an XA transaction is prepared: its commit might not be journaled. */
export async function passBarrier(source: Database): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const prepared = await source.rows('XA RECOVER');
    if (prepared.length === 0) return;
    if (attempt === 10) {
      throw new TransientDatabaseError(
        `source: ${prepared.length} XA transactions are prepared; commit or roll them back, then install again`,
      );
    }
    await sleep(500);
  }
}

type Standing = ReadonlyMap<string, string>;

const compact = (body: string): string => body.replaceAll(/\s+/g, ' ').trim();

async function standingTriggers(pair: Pair): Promise<Standing> {
  const rows = await pair.source.rows(
    `SELECT TRIGGER_NAME AS name, EVENT_OBJECT_TABLE AS tbl, ACTION_STATEMENT AS body FROM information_schema.TRIGGERS
     WHERE TRIGGER_SCHEMA = ? AND TRIGGER_NAME LIKE ${literal(`${TRIGGER_PREFIX.replace('_', String.raw`\_`)}%`)}`,
    [pair.sourceSchema],
  );
  return new Map(rows.map((row) => [row['name']!, `${row['tbl']}\0${compact(row['body'] ?? '')}`]));
}

const stands = (standing: Standing, trigger: Trigger): boolean =>
  standing.get(trigger.name) === `${trigger.table}\0${compact(trigger.body)}`;

const bodyHash = (table: string, body: string): string =>
  createHash('sha256')
    .update(`${table}\0${compact(body)}`)
    .digest('hex');

/** What stands must be compared with what was installed, not with what a newer worker would install. */
async function recordTriggers(
  session: Session,
  control: string,
  triggers: readonly Trigger[],
): Promise<void> {
  await session.run(`DELETE FROM ${qualified(control, 'capture_trigger')}`);
  for (const { name, table, body } of triggers) {
    await session.run(`INSERT INTO ${qualified(control, 'capture_trigger')} VALUES (?, ?, ?)`, [
      name,
      table,
      bodyHash(table, body),
    ]);
  }
}

/**
 * What changes when a table is truncated, rebuilt or swapped: its creation time, which outlives a TRUNCATE,
 * and InnoDB's number of it, which does not. Partitions have numbers of their own; the highest says enough.
 */
async function incarnations(
  source: Database,
  { schema, tables }: CaptureInput,
): Promise<Map<string, string>> {
  const { flavour, version } = await source.server();
  const view = flavour === 'mysql' && !version.startsWith('5.') ? 'INNODB_TABLES' : 'INNODB_SYS_TABLES';
  const prefix = `${fileName(schema)}/`;
  const rows = await source.rows(
    `SELECT SUBSTRING_INDEX(SUBSTRING(NAME, ${prefix.length + 1}), '#', 1) AS name, MAX(TABLE_ID) AS id
     FROM information_schema.${view} WHERE LEFT(NAME, ${prefix.length}) = ${literal(prefix)} GROUP BY 1`,
  );
  const ids = new Map(rows.map((row) => [row['name']!, row['id']!]));
  return new Map(
    tables.map(({ table }) => [table.name, `${table.created}#${ids.get(fileName(table.name)) ?? ''}`]),
  );
}

/** A name as InnoDB spells it; exact for ASCII. */
const fileName = (name: string): string =>
  name.replaceAll(/[^A-Za-z0-9_]/g, (char) => `@${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

/**
 * Compares what stands with what was installed. A trigger that is gone or altered, a table that was
 * swapped, truncated or rebuilt: writes may have passed without a journal row.
 *
 * @returns one sentence for each table that lost its capture, with the table first
 */
export async function lostCapture(pair: Pair): Promise<{ table: string; why: string }[]> {
  const installed = await pair.source.rows(
    `SELECT name, created FROM ${qualified(pair.control, 'tracked_table')} WHERE installed_at IS NOT NULL`,
  );
  if (installed.length === 0) return [];
  const input = await captureInput(pair).catch((error: unknown) => {
    if (error instanceof DatabaseError || error instanceof TransientDatabaseError) throw error;
    throw new LostCaptureError(error instanceof Error ? error.message : 'a tracked table is gone');
  });
  const standing = await standingTriggers(pair);
  const recorded = await pair.source.rows(
    `SELECT name, table_name, body_hash FROM ${qualified(pair.control, 'capture_trigger')}`,
  );
  const lost = new Map<string, string>();
  for (const row of recorded) {
    const [table, ...body] = (standing.get(row['name']!) ?? '').split('\0');
    if (table === row['table_name'] && bodyHash(table!, body.join('\0')) === row['body_hash']) continue;
    const what = standing.has(row['name']!) ? 'was altered' : 'is gone';
    lost.set(row['table_name']!, `trigger ${row['name']} on ${row['table_name']} ${what}`);
  }
  const created = await incarnations(pair.source, input);
  for (const row of installed) {
    const name = row['name']!;
    if (created.has(name) && created.get(name) !== row['created'] && !lost.has(name)) {
      lost.set(name, `table ${name} was truncated, rebuilt or swapped`);
    }
  }
  return [...lost].map(([table, why]) => ({ table, why }));
}

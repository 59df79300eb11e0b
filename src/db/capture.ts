/**
 * Installs capture, and notices when it is lost.
 *
 * CREATE TRIGGER waits for open transactions and everybody queues behind it, so it gives up after a
 * second, backs off and names who is in the way. The start barrier of a table has passed when its
 * triggers stand and no XA transaction is prepared (one would commit without a journal row).
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { TransientDatabaseError } from '../domain/errors.ts';
import type { TablePlan } from '../domain/plan.ts';
import { isPerTenant } from '../domain/tenant-schema.ts';
import { blockerOf } from './blockers.ts';
import { lostCapture, recordTriggers, standingTriggers, stands } from './capture-loss.ts';
import { declareLost } from './lost-capture.ts';
import { readForeignKeys } from './catalog.ts';
import type { Database, Session } from './database.ts';
import { readIncarnations } from './incarnation.ts';
import { recordShapes } from './shapes.ts';
import { qualified } from './sql.ts';
import {
  homeOf,
  homes,
  isGone,
  loadHome,
  ofHome,
  ownerLiteral,
  parentsFirst,
  type Home,
  type Pair,
} from './tracked.ts';
import {
  createTriggerSql,
  dropTriggerSql,
  planTriggers,
  type CaptureInput,
  type Trigger,
} from './triggers.ts';

const ATTEMPTS = 60;

/**
 * Gives every table of the plan its number, never used again, and writes down how both sides define it.
 *
 * @param tenants of the plan; where each has a schema of its own, each has the tables
 */
export async function registerTables(
  pair: Pair,
  tables: readonly TablePlan[],
  tenants: readonly string[] = [],
): Promise<void> {
  const places = isPerTenant(pair.sourceSchema)
    ? tenants.map((tenant) => homeOf(pair, tenant))
    : [homeOf(pair, '')];
  for (const home of places) await registerIn(home, tables);
  await recordShapes(pair);
}

async function registerIn(home: Home, tables: readonly TablePlan[]): Promise<void> {
  for (const { name, tenancy, time } of tables) {
    await home.source.run(
      `INSERT INTO ${qualified(home.control, 'tracked_table')} (owner, name, tenancy, time_column) VALUES (${ownerLiteral(home)}, ?, ?, ?)
       ON DUPLICATE KEY UPDATE tenancy = VALUES(tenancy),
         time_changed = IF(time_column <=> VALUES(time_column), time_changed, NULL), time_column = VALUES(time_column)`,
      [name, JSON.stringify(tenancy), time],
    );
  }
}

export async function captureInput(pair: Home): Promise<CaptureInput> {
  const { tables, missing } = await loadHome(pair);
  if (missing.length > 0) throw isGone(missing[0]!);
  const tracked = parentsFirst(tables);
  const foreignKeys = await readForeignKeys(pair.source, pair.sourceSchema);
  return {
    schema: pair.sourceSchema,
    control: pair.control,
    tables: tracked,
    foreignKeys,
  };
}

/** Statements that `installCapture` would run now, for the dry run. */
export async function captureSql(pair: Pair): Promise<string[]> {
  const statements: string[] = [];
  for (const home of await homes(pair)) statements.push(...(await captureSqlOf(home)));
  return statements;
}

async function captureSqlOf(pair: Home): Promise<string[]> {
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
  for (const home of await homes(pair)) {
    const { missing } = await loadHome(home);
    // Preflight saw every schema of the plan: this tenant has left it.
    if (home.owner !== null && missing.length > 0)
      report(`${home.sourceSchema}.${missing[0]} is gone; nothing is installed for ${home.owner}`);
    else await installIn(home, report);
  }
}

async function installIn(pair: Home, report: (line: string) => void): Promise<void> {
  const input = await captureInput(pair);
  const standing = await standingTriggers(pair);
  const planned = planTriggers(input);
  for (const trigger of planned) {
    if (!stands(standing, trigger)) await installTrigger(pair, input.schema, trigger, report);
  }
  const names = new Set(planned.map((trigger) => trigger.name));
  for (const [name, { table }] of standing) {
    if (!names.has(name))
      await impatiently(pair, table, report, (session) => session.run(dropTriggerSql(input.schema, name)));
  }
  await passBarrier(pair.source);
  const created = await readIncarnations(
    pair.source,
    pair.sourceSchema,
    input.tables.map(({ table }) => table.name),
  );
  const installed = await standingTriggers(pair);
  await pair.source.transaction(async (session) => {
    await recordTriggers(session, pair, planned, installed);
    for (const { id, table } of input.tables) {
      await session.run(
        `UPDATE ${qualified(pair.control, 'tracked_table')} SET created = ?, installed_at = NOW(6) WHERE id = ?`,
        [JSON.stringify(created.get(table.name)), id],
      );
    }
  });
}

export async function uninstallCapture(
  pair: Pair,
  report: (line: string) => void = () => {},
): Promise<string[]> {
  const names: string[] = [];
  for (const home of await homes(pair)) names.push(...(await uninstallIn(home, report)));
  return names;
}

/** Names of the triggers that stand, as `uninstallCapture` would take them away. */
export async function captureTriggers(pair: Pair): Promise<string[]> {
  const names: string[] = [];
  for (const home of await homes(pair)) names.push(...(await standingTriggers(home)).keys());
  return names;
}

async function uninstallIn(pair: Home, report: (line: string) => void): Promise<string[]> {
  const standing = await standingTriggers(pair);
  for (const [name, { table }] of standing) {
    await impatiently(pair, table, report, (session) => session.run(dropTriggerSql(pair.sourceSchema, name)));
  }
  await pair.source.transaction(async (session) => {
    await recordTriggers(session, pair, [], new Map());
    await session.run(
      `UPDATE ${qualified(pair.control, 'tracked_table')} SET installed_at = NULL WHERE ${ofHome(pair)}`,
    );
  });
  return [...standing.keys()];
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
      const blocker = await blockerOf(pair.source, { schema: pair.sourceSchema, table });
      if (attempt === ATTEMPTS)
        throw new TransientDatabaseError(`source: ${table} stays locked; ${blocker}`, 1205);
      if (attempt % 5 === 1) report(`waiting for ${table}: ${blocker}`);
      await sleep(Math.min(200 * attempt, 2_000));
    }
  }
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

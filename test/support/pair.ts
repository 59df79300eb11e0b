/** A migration on the shared servers: schemas of its own, installed and dropped with the test file. */
import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll } from 'vitest';

import type { Capture } from '../../src/domain/capture.ts';
import type { TablePlan, Tenancy } from '../../src/domain/plan.ts';
import { admitTenants, installControl } from '../../src/db/control.ts';
import { registerTables } from '../../src/db/capture.ts';
import { installMode } from '../../src/db/capture-install.ts';
import { Database } from '../../src/db/database.ts';
import { lockTenants } from '../../src/db/lock.ts';
import { Mirror } from '../../src/db/mirror.ts';
import { ident } from '../../src/db/sql.ts';
import { admitStage, flipStage } from '../../src/db/stages.ts';
import { loadTracked, type Pair, type Tracked } from '../../src/db/tracked.ts';
import type { Stage } from '../../src/domain/stage.ts';
import { stackInfo } from './stack.ts';

export interface Fixture {
  readonly pair: Pair;
  /** Statements in the application's schema of one side. */
  readonly sql: (side: 'source' | 'target', statement: string) => Promise<unknown>;
  /**
   * Changes rows of the tenant on the target behind everybody's back, and waits for its lock: a mirror that had read
   * the journal before a drain emptied it may still be writing the same rows again.
   */
  readonly corrupt: (tenant: string, statement: string) => Promise<void>;
  readonly rows: (
    side: 'source' | 'target',
    statement: string,
  ) => Promise<readonly Record<string, string | null>[]>;
  tracked: Tracked;
  mirror: Mirror;
  /** Registers the tables, installs capture, loads them. */
  readonly install: (
    tables: Readonly<Record<string, Tenancy | { tenancy: Tenancy; time: string }>>,
    capture?: Capture,
  ) => Promise<void>;
  readonly start: (tenant: string, stage?: Stage) => Promise<void>;
}

export const column = (name = 'tenant_id'): Tenancy => ({ kind: 'column', column: name });
export const shared: Tenancy = { kind: 'shared' };
export const child = (parent: string, name: string, references = 'id'): Tenancy => ({
  kind: 'parent',
  parent,
  column: name,
  references,
});

export interface PairUrls {
  readonly sourceUrl: string;
  readonly targetUrl: string;
}

/** @param create statements that run in the schema of both sides; the target's foreign keys are unchecked */
export function useFixture(
  create: readonly string[],
  urls: () => PairUrls = stackInfo,
  options: { idleTimeout?: number } = {},
): () => Fixture {
  let fixture: Fixture | null = null;
  const suffix = randomBytes(4).toString('hex');
  const schema = `app_${suffix}`;
  const control = `ctl_${suffix}`;
  beforeAll(async () => {
    const { sourceUrl, targetUrl } = urls();
    const source = new Database({ side: 'source', url: sourceUrl, ...options });
    const target = new Database({ side: 'target', url: targetUrl, ...options });
    const pair: Pair = { source, target, control, sourceSchema: schema, targetSchema: schema };
    for (const db of [source, target]) await db.run(`CREATE DATABASE ${ident(schema)}`);
    await installControl(source, target, control);
    fixture = makeFixture(pair, schema);
    for (const side of ['source', 'target'] as const)
      for (const statement of create) await fixture.sql(side, statement);
  });
  afterAll(async () => {
    if (fixture === null) return;
    const { source, target } = fixture.pair;
    for (const db of [source, target]) {
      await db.run(`DROP DATABASE IF EXISTS ${ident(schema)}`).catch(() => {});
      await db.run(`DROP DATABASE IF EXISTS ${ident(control)}`).catch(() => {});
      await db.close();
    }
  });
  return () => fixture!;
}

function makeFixture(pair: Pair, schema: string): Fixture {
  const inSchema = <T>(
    side: 'source' | 'target',
    use: (session: Parameters<Parameters<Database['session']>[0]>[0]) => Promise<T>,
  ) =>
    pair[side].session(async (session) => {
      await session.run(`USE ${ident(schema)}`);
      return use(session);
    });
  const fixture: Fixture = {
    pair,
    tracked: null as unknown as Tracked,
    mirror: null as unknown as Mirror,
    sql: (side, statement) => inSchema(side, (session) => session.run(statement)),
    rows: (side, statement) => inSchema(side, (session) => session.rows(statement)),
    corrupt: (tenant, statement) =>
      pair.target.transaction(async (session) => {
        await session.run(`USE ${ident(schema)}`);
        await lockTenants(session, pair.control, [tenant]);
        await session.run(statement);
      }),
    async install(tables, capture = 'triggers') {
      const plans = Object.entries(tables).map(([name, given]): TablePlan =>
        'tenancy' in given
          ? { name, tenancy: given.tenancy, time: given.time }
          : { name, tenancy: given, time: null },
      );
      await registerTables(pair, plans);
      await installMode(pair, capture);
      fixture.tracked = await loadTracked(pair);
      fixture.mirror = new Mirror(pair, fixture.tracked);
    },
    async start(tenant, stage = 'dual-write') {
      await admitStage(pair.source, pair.control, tenant);
      await admitTenants(pair.target, pair.control, [tenant, '_unresolved']);
      await flipStage(pair.source, pair.control, {
        tenant,
        to: stage,
        expectEpoch: null,
        from: ['source-only', 'dual-write', 'shadow-read', 'read-target'],
        actor: 'test',
        reason: 'test',
        requestId: null,
      });
    },
  };
  return fixture;
}

/** Every row of a table as text, in key order, for comparing two sides without the product's code. */
export const dump = async (
  fixture: Fixture,
  side: 'source' | 'target',
  table: string,
  order = 'id',
): Promise<string[]> =>
  (await fixture.rows(side, `SELECT * FROM ${ident(table)} ORDER BY ${order}`)).map((row) =>
    JSON.stringify(row),
  );

/** A trigger's name ends with a hash of its definition. */
export async function standingTrigger({ pair }: Fixture, prefix: string): Promise<string> {
  const [row] = await pair.source.rows(
    'SELECT TRIGGER_NAME AS name FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ? AND LEFT(TRIGGER_NAME, CHAR_LENGTH(?)) = ?',
    [pair.sourceSchema, prefix, prefix],
  );
  if (row === undefined) throw new Error(`no trigger begins with ${prefix}`);
  return row['name']!;
}

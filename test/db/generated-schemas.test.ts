/**
 * Random schemas, random rows, random writes between the steps of a migration: whatever they are, in the end
 * the target holds exactly the rows of the tenants that move, and a pass reads them clean.
 *
 * The seed is fixed; `SWITCHBACK_SEED=n` draws others, `SWITCHBACK_RUNS=n` more, and a failure prints both. With
 * `SWITCHBACK_SHRINK=1` it is made smaller before.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';

import { copyTables } from '../../src/db/backfill.ts';
import { uninstallCapture } from '../../src/db/capture.ts';
import { reconcileSlice } from '../../src/db/reconcile.ts';
import { limits } from '../support/limits.ts';
import { useFixture } from '../support/pair.ts';
import { moves, WRITES, writeSql, type Move, type Scene } from './generated/moves.ts';
import { ownerSql, tableShape, tablesOf, type Table } from './generated/shape.ts';
import { seeded } from './protocol/random.ts';

const SEED = Number(process.env['SWITCHBACK_SEED'] ?? 20_261_125);
const RUNS = Number(process.env['SWITCHBACK_RUNS'] ?? 12);

const LIMITS = limits({ windowRows: 50, reconcileRows: 50 });

/** In this part of the moves rows are still copied; in the rest only the mirror can bring them. */
const COPYING = 0.4;

const fixture = useFixture([]);

/** Two that move, one of them with a hostile id, and one that stays. */
const idsOf = (run: number): string[] => [`ant ${run}`, `bée'%\\${run} `, `stays ${run}`];
const moving = (tenants: readonly string[]): string[] => ['_shared', ...tenants.slice(0, 2)];

let run = 0;

interface World {
  readonly tables: readonly Table[];
  readonly tenants: readonly string[];
}

async function prepare(tables: readonly Table[], draw: number): Promise<World> {
  const { sql, install, start } = fixture();
  run += 1;
  const tenants = idsOf(run);
  for (const side of ['source', 'target'] as const) for (const { create } of tables) await sql(side, create);
  await install(Object.fromEntries(tables.map(({ name, tenancy }) => [name, tenancy])));
  const scene: Scene = { random: seeded(draw), tenants };
  for (const table of tables) for (let n = 0; n < 40; n += 1) await apply(writeSql('insert', table, scene));
  for (const tenant of moving(tenants)) await start(tenant);
  return { tables, tenants };
}

async function apply(statements: readonly string[]): Promise<void> {
  const { pair } = fixture();
  const transaction = pair.source.transaction(async (session) => {
    await session.run(`USE \`${pair.sourceSchema}\``);
    for (const statement of statements) await session.run(statement);
  });
  await transaction.catch((error: { errno?: number }) => {
    if (error.errno !== 1062) throw error;
  });
}

/** One window, then the slice is over; its cursor stays. */
async function copy({ tenants }: World, tenant: string, windows: number): Promise<void> {
  const { pair, tracked } = fixture();
  let left = windows;
  void tenants;
  await copyTables(pair, tracked, tracked.of(tenant), {
    tenant,
    round: 1,
    limits: { ...LIMITS, windowRows: 7 },
    pace: () => Promise.resolve(0),
    progress: () => {
      left -= 1;
    },
    until: () => left <= 0,
  });
}

async function step(world: World, { what, table, tenant, draw }: Move): Promise<void> {
  const { mirror } = fixture();
  const { tables, tenants } = world;
  if ((WRITES as readonly string[]).includes(what)) {
    return apply(writeSql(what, tables[table % tables.length]!, { random: seeded(draw), tenants }));
  }
  const who = moving(tenants)[tenant]!;
  if (what === 'window') return copy(world, who, 1);
  if (what === 'drain') await mirror.drain(who);
  else await mirror.mirrorTenant(what === 'unresolved' ? '_unresolved' : who, null);
}

/** Rows that are waiting for a tenant that moves; the others are purged by the worker. */
async function settle({ tenants }: World): Promise<void> {
  const { pair, mirror } = fixture();
  const all = ['_unresolved', ...moving(tenants)];
  for (let round = 0; round < 20; round += 1) {
    for (const tenant of all) await mirror.drain(tenant);
    const rows = await pair.source.rows(`SELECT DISTINCT tenant FROM \`${pair.control}\`.journal`);
    if (!rows.some((row) => all.includes(row['tenant']!))) return;
  }
  throw new Error('the journal of a tenant that moves does not end');
}

async function rowsOf(side: 'source' | 'target', table: Table, owners: readonly string[]): Promise<string[]> {
  const { owner, joins } = ownerSql(table);
  const read = [
    'r.ref',
    ...(table.tenancy.kind === 'shared' ? [] : table.parent === null ? ['HEX(r.tenant)'] : ['r.above']),
    ...[...table.key, ...table.columns].map((column) => column.read(`r.${column.name}`)),
    ...(table.unique ? ['r.u0'] : []),
  ].map((sql) => `IFNULL(${sql}, 'NULL')`);
  const own = owners.map((one) => `X'${Buffer.from(one).toString('hex')}'`).join(', ');
  const where = side === 'source' ? `WHERE CAST(${owner} AS BINARY) IN (${own})` : '';
  const found = await fixture().rows(
    side,
    `SELECT CONCAT_WS('|', ${read.join(', ')}) AS line FROM ${table.name} r${joins} ${where} ORDER BY r.ref`,
  );
  return found.map((row) => row['line']!);
}

async function check(world: World): Promise<void> {
  for (const table of world.tables) {
    const expected = await rowsOf('source', table, moving(world.tenants));
    expect(await rowsOf('target', table, []), table.create).toEqual(expected);
  }
  const { pair, tracked } = fixture();
  for (const tenant of moving(world.tenants)) {
    const { pass } = await reconcileSlice(pair, tracked, {
      tenant,
      limits: LIMITS,
      missingAgain: 1_000,
      progress: () => {},
      until: () => false,
    });
    expect(pass, tenant).toMatchObject({ clean: true, counts: { suspects: 0 } });
  }
}

async function clear({ tables }: World): Promise<void> {
  const { pair, sql } = fixture();
  await uninstallCapture(pair);
  for (const side of ['source', 'target'] as const)
    for (const { name } of tables) await sql(side, `DROP TABLE IF EXISTS ${name}`);
  for (const table of ['tracked_table', 'capture_trigger', 'journal', 'stage'])
    await pair.source.run(`DELETE FROM \`${pair.control}\`.${table}`);
}

it(`any schema, any writes: the target ends equal (seed ${SEED}, ${RUNS} runs)`, async () => {
  const property = fc.asyncProperty(
    fc.array(tableShape, { minLength: 1, maxLength: 4, size: 'max' }),
    moves,
    fc.nat(1_000_000),
    async (shapes, todo, draw) => {
      const world = await prepare(tablesOf(shapes), draw);
      try {
        const copying = Math.floor(todo.length * COPYING);
        for (const move of todo.slice(0, copying)) await step(world, move);
        for (const tenant of moving(world.tenants)) await copy(world, tenant, Number.POSITIVE_INFINITY);
        for (const move of todo.slice(copying)) await step(world, move);
        await settle(world);
        await check(world);
      } finally {
        await clear(world);
      }
    },
  );
  await fc.assert(property, {
    seed: SEED,
    numRuns: RUNS,
    endOnFailure: process.env['SWITCHBACK_SHRINK'] !== '1',
  });
}, 600_000);

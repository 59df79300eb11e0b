/** The rows that an application wrote for a drill: kept by key, and looked at again once reads are back on the source. */
import { setTimeout as sleep } from 'node:timers/promises';

import type { Milliseconds } from '../domain/duration.ts';
import type { Canary } from '../domain/probe.ts';
import { modeOf } from './capture-mode.ts';
import { keySql } from './keys.ts';
import { ident, list, qualified, tenantLiteral } from './sql.ts';
import { concerns, joinChain, ownedBy, type TrackedTable } from './tenancy.ts';
import type { Pair, Tracked } from './tracked.ts';

export async function keepCanaries(
  pair: Pair,
  drill: string,
  tenant: string,
  canaries: readonly Canary[],
): Promise<void> {
  if (canaries.length === 0) return;
  const rows = canaries.map(() => `(?, ${tenantLiteral(tenant)}, ?, ?)`);
  await pair.source.run(
    `INSERT INTO ${qualified(pair.control, 'canary')} (drill, tenant, table_name, row_key) VALUES ${list(rows)}`,
    canaries.flatMap(({ table, key }) => [drill, table, JSON.stringify(key)]),
  );
}

export interface CanaryCheck {
  readonly all: number;
  /** On both sides, and the same. */
  readonly equal: number;
  /** The first that is not, as a sentence; null: none. */
  readonly wrong: string | null;
}

const PAUSE: Milliseconds = 100;

/** Waits until every canary is on the target as it is on the source; one that the source lacks is not waited for. */
export async function checkCanaries(
  pair: Pair,
  tracked: Tracked,
  {
    drill,
    tenant,
    within,
  }: { readonly drill: string; readonly tenant: string; readonly within: Milliseconds },
): Promise<CanaryCheck> {
  const rows = await pair.source.rows(
    `SELECT table_name, row_key FROM ${qualified(pair.control, 'canary')} WHERE drill = ? ORDER BY id`,
    [drill],
  );
  const ends = Date.now() + within;
  let equal = 0;
  for (const row of rows) {
    const canary: Canary = {
      table: row['table_name']!,
      key: JSON.parse(row['row_key']!) as Record<string, string>,
    };
    const wrong = await lookAt(pair, tracked, tenant, canary, ends);
    if (wrong !== null) return { all: rows.length, equal, wrong: `the canary in ${canary.table} ${wrong}` };
    equal += 1;
  }
  return { all: rows.length, equal, wrong: null };
}

/** @returns what is wrong with it; null: nothing */
async function lookAt(
  pair: Pair,
  tracked: Tracked,
  tenant: string,
  canary: Canary,
  ends: number,
): Promise<string | null> {
  const table = tracked.all().find((one) => one.table.name === canary.table && concerns(one, tenant));
  if (table === undefined) return 'is in no table of the plan';
  const wanted = table.table.primary.map(({ name }) => name);
  if (wanted.length !== Object.keys(canary.key).length || !wanted.every((name) => name in canary.key))
    return `is not named by its primary key (${wanted.join(', ')})`;
  const key = await keyOnSource(pair, table, tenant, canary);
  if (key === null) return 'is not on the source, or belongs to another tenant';
  for (;;) {
    const [judged] = await modeOf(tracked).compare(pair, tracked, { tenant, tableId: table.id, keys: [key] });
    if (judged?.verdict.kind === 'equal') return null;
    if (judged?.verdict.kind === 'drift') return `drifted: it is ${judged.verdict.class} on the target`;
    if (Date.now() > ends) return 'is still not on the target';
    await sleep(PAUSE);
  }
}

async function keyOnSource(
  pair: Pair,
  tracked: TrackedTable,
  tenant: string,
  { key }: Canary,
): Promise<string | null> {
  const { table } = tracked;
  const where = table.primary.map(({ name }) => `r.${ident(name)} = ?`);
  const [row] = await pair.source.rows(
    `SELECT ${keySql(table, 'r')} AS row_key FROM ${qualified(table.schema, table.name)} r ${joinChain(tracked, 'r')} WHERE ${where.join(' AND ')} AND ${ownedBy(tracked, 'r', tenant)}`,
    table.primary.map(({ name }) => key[name]!),
  );
  return row?.['row_key'] ?? null;
}

/**
 * Rows that did not meet their equal are looked at again, without a lock.
 *
 * One look reads the journal, the source's rows, the target's rows, and the journal once more. A key that the
 * journal holds at either end is in flight. A key that it holds at neither, at three looks in a row with the
 * same two rows, differs: had the source changed between two looks, its row or its journal row would say so,
 * and had it not, then the mirror has nothing to bring.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Milliseconds } from '../domain/duration.ts';
import type { Shape } from './compare.ts';
import type { Database } from './database.ts';
import { keysJoin, keySql, keysTable } from './keys.ts';
import { hexLiteral, list, qualified } from './sql.ts';
import { joinChain, ownedBy, type TrackedTable } from './tenancy.ts';
import type { Pair } from './tracked.ts';

export interface Difference {
  readonly key: string;
  /** `gone`: the tenant has it on neither side any more. */
  readonly class: 'equal' | 'gone' | 'in-flight' | 'missing' | 'extra' | 'different';
  /** Columns that differ; of `different` only. */
  readonly columns: readonly string[];
}

const AT_ONCE = 200;
const IN_A_ROW = 3;
/** In flight at so many looks in a row: the mirror is behind, and waiting for it is somebody else's matter. */
const STAYS_IN_FLIGHT = 5;
const PAUSES: readonly Milliseconds[] = [0, 30, 100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000];

export async function look(
  pair: Pair,
  shape: Shape,
  tenant: string,
  keys: readonly string[],
): Promise<Difference[]> {
  const found: Difference[] = [];
  for (let at = 0; at < keys.length; at += AT_ONCE)
    found.push(...(await lookAtBatch(pair, shape, tenant, keys.slice(at, at + AT_ONCE))));
  return once(found);
}

/** Two spellings that a collation calls equal name one row. */
const once = (found: readonly Difference[]): Difference[] => [
  ...new Map(found.map((one) => [one.key, one])).values(),
];

interface Suspect {
  readonly key: string;
  /** How it was spelled by whatever row was seen under it. */
  readonly spellings: Set<string>;
  seen: string;
  inARow: number;
  inFlight: number;
  outcome: Difference;
}

async function lookAtBatch(
  pair: Pair,
  shape: Shape,
  tenant: string,
  keys: readonly string[],
): Promise<Difference[]> {
  const suspects = keys.map((key): Suspect => ({
    key,
    spellings: new Set([key]),
    seen: '',
    inARow: 0,
    inFlight: 0,
    outcome: { key, class: 'in-flight', columns: [] },
  }));
  let open = suspects;
  for (const pause of PAUSES) {
    if (open.length === 0) break;
    await sleep(pause);
    open = await lookOnce(pair, shape, tenant, open);
  }
  return suspects.map(({ outcome }) => outcome);
}

/** @returns those that are not settled */
async function lookOnce(
  pair: Pair,
  shape: Shape,
  tenant: string,
  open: readonly Suspect[],
): Promise<Suspect[]> {
  const keys = open.map(({ key }) => key);
  const before = await journaled(pair, shape.source.id, open);
  const source = await readKeys(pair.source, shape.source, shape, tenant, keys);
  const target = await readKeys(pair.target, shape.target, shape, tenant, keys);
  for (const [position, suspect] of open.entries())
    for (const side of [source, target])
      for (const row of side.get(position) ?? []) suspect.spellings.add(row.key);
  const after = await journaled(pair, shape.source.id, open);
  return open.filter((suspect, position) => {
    const outcome = judge(suspect.key, source.get(position)?.[0], target.get(position)?.[0], shape);
    const inFlight = [...suspect.spellings].some((key) => before.has(key) || after.has(key));
    const seen = JSON.stringify([source.get(position), target.get(position)]);
    suspect.inARow = inFlight ? 0 : suspect.seen === seen ? suspect.inARow + 1 : 1;
    suspect.inFlight = inFlight ? suspect.inFlight + 1 : 0;
    suspect.seen = seen;
    const settled = outcome.class === 'equal' || outcome.class === 'gone' || suspect.inARow >= IN_A_ROW;
    if (settled) suspect.outcome = outcome;
    return !settled && suspect.inFlight < STAYS_IN_FLIGHT;
  });
}

interface Row {
  readonly key: string;
  readonly owned: boolean;
  readonly prints: readonly string[];
}

/** A row of another tenant is not this tenant's, but in the way where this tenant's row belongs. */
function judge(key: string, source: Row | undefined, target: Row | undefined, shape: Shape): Difference {
  const named = source?.key ?? target?.key ?? key;
  if (source?.owned !== true && target?.owned !== true) return { key: named, class: 'gone', columns: [] };
  if (source === undefined) return { key: named, class: 'extra', columns: [] };
  if (target === undefined) return { key: named, class: 'missing', columns: [] };
  const columns = shape.readings
    .filter((_, position) => source.prints[position] !== target.prints[position])
    .map(({ column }) => column);
  return { key: named, class: columns.length === 0 ? 'equal' : 'different', columns };
}

async function journaled(pair: Pair, tableId: number, open: readonly Suspect[]): Promise<Set<string>> {
  const spelled = [...new Set(open.flatMap(({ spellings }) => [...spellings]))];
  const rows = await pair.source.rows(
    `SELECT DISTINCT row_key FROM ${qualified(pair.control, 'journal')} WHERE table_id = ${tableId}
     AND row_key IN (${list(spelled.map((key) => hexLiteral(Buffer.from(key, 'latin1'))))})`,
  );
  return new Set(rows.map((row) => row['row_key']!));
}

/** Rows by the position of their key, under whichever tenant; of each value a hash. */
async function readKeys(
  db: Database,
  side: TrackedTable,
  { readings }: Shape,
  tenant: string,
  keys: readonly string[],
): Promise<Map<number, Row[]>> {
  const { table } = side;
  const columns = [
    'k.n',
    keySql(table, 't'),
    `(${ownedBy(side, 't', tenant)}) IS TRUE`,
    ...readings.map((reading) => reading.select('t')),
  ];
  const sql = `SELECT ${list(columns)} FROM ${keysTable(table.primary, keys)} k
    STRAIGHT_JOIN ${qualified(table.schema, table.name)} t ON ${keysJoin(table.primary, 'k', 't')} ${joinChain(side, 't')}`;
  const found = new Map<number, Row[]>();
  await db.session(async (session) => {
    for await (const batch of session.stream(sql)) {
      for (const [n, key, owned, ...values] of batch) {
        const prints = readings.map(({ form }, position) => {
          const value = values[position] ?? null;
          return value === null ? '-' : createHash('sha256').update(form(value)).digest('base64');
        });
        const row = { key: key!.toString('latin1'), owned: owned!.toString() === '1', prints };
        found.set(Number(n!.toString()), [...(found.get(Number(n!.toString())) ?? []), row]);
      }
    }
  });
  return found;
}

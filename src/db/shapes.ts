/**
 * A table that is altered while the line works: noticed before the next window commits.
 *
 * Install writes down how every tracked table is defined on each side; whoever reads or writes rows works
 * from that and looks again in the transaction that is about to commit. On the target the look comes after
 * the first touch, so the metadata lock keeps an ALTER out until the commit. On the source it comes after
 * the rows were read: a change that commits later finds what was read true as of before it, and the next
 * window does not pass. A retry takes a change over once both sides fit (`accept-shapes.ts`).
 */
import { DatabaseError, SchemaMismatchError, TransientDatabaseError } from '../domain/errors.ts';
import { SHARED } from '../domain/stage.ts';
import { schemaOf } from '../domain/tenant-schema.ts';
import type { Table } from './catalog.ts';
import { Session, type Database, type TextRow } from './database.ts';
import { createdSql, describeChange, readShape, type Shape } from './fingerprint.ts';
import { qualified } from './sql.ts';
import type { TrackedTable } from './tenancy.ts';
import type { Pair, Tracked } from './tracked.ts';

export type Side = 'source' | 'target';
export const SIDES: readonly Side[] = ['source', 'target'];

const OTHER: Readonly<Record<Side, Side>> = { source: 'target', target: 'source' };

/** What the operator does about it, whatever changed. */
const wayOut = (side: Side): string =>
  `make the same change on the ${OTHER[side]}, or undo it; then \`switchback plan check\`, then \`switchback retry TENANT\` (safe order: a new column on the target first, a dropped one on the source first)`;

const changeOf = (side: Side, table: string, differences: readonly string[]): string =>
  `${side} table ${table} was altered: ${differences.join('; ')}`;

/** @param row of the tracked tables, with its owner */
export const schemaFor = (pair: Pair, side: Side, row: TextRow): string =>
  schemaOf(side === 'source' ? pair.sourceSchema : pair.targetSchema, row['owner']!);

/** With its schema where each tenant has one: the name alone would not say which. */
const label = (isTenantsOwn: boolean, { schema, name }: Pick<Table, 'schema' | 'name'>): string =>
  isTenantsOwn ? `${schema}.${name}` : name;

/** Written down at install, before the tables are read: a change in between is then a difference. */
export async function recordShapes(pair: Pair): Promise<void> {
  const tracked = qualified(pair.control, 'tracked_table');
  for (const row of await pair.source.rows(`SELECT id, name, owner FROM ${tracked}`)) {
    const name = row['name']!;
    const [source, target] = await Promise.all(
      SIDES.map((side) => readShape(pair[side], { schema: schemaFor(pair, side, row), name })),
    );
    await pair.source.run(
      `UPDATE ${tracked} SET source_shape = ?, target_shape = ?, altered = NULL, shaped_at = NOW(6) WHERE id = ?`,
      [source!, target!, row['id']!],
    );
  }
}

/** The table itself and those through which its tenant is found. */
const readBy = (tracked: Tracked, side: Side, ids: Iterable<number>): Map<string, TrackedTable> =>
  new Map(
    [...ids].flatMap((id) => {
      const own = tracked[side](id);
      const chain = own.chain.map(({ parent }) => tracked[side](tracked.byName(parent.name).id));
      return [own, ...chain].map((one): [string, TrackedTable] => [
        qualified(one.table.schema, one.table.name),
        one,
      ]);
    }),
  );

export interface Look {
  /** The session that read or wrote the rows; where it holds no lock, the database. */
  readonly on: Database | Session;
  readonly side: Side;
  readonly ids: Iterable<number>;
}

/**
 * One statement a table. In a session of its own it is called under `judged`.
 *
 * @throws SchemaMismatchError naming the difference and the way out
 * @throws TransientDatabaseError when the change was taken over meanwhile: whoever tries again reads the tables anew
 */
export async function assertShapes(pair: Pair, tracked: Tracked, { on, side, ids }: Look): Promise<void> {
  for (const one of readBy(tracked, side, ids).values()) {
    const seen = differenceOf(tracked, side, one, await readShape(on, one.table));
    if (seen === null) continue;
    if (on instanceof Session) throw new ShapeDiffers(seen);
    await judge(pair, seen);
  }
}

interface ShapesBeside {
  /** Take each table's metadata lock: from then on to the end of the transaction nobody alters it. */
  readonly touches: readonly string[];
  readonly statements: readonly string[];
  readonly assert: (live: readonly (Shape | null)[]) => void;
}

/**
 * As `assertShapes` of a session, for a caller who sends the statements, behind those that touch the tables.
 *
 * @returns `assert` takes what they answered. A table that is gone is a DatabaseError: `explained` says so
 */
export function shapesBeside(tracked: Tracked, side: Side, ids: Iterable<number>): ShapesBeside {
  const tables = [...readBy(tracked, side, ids).values()];
  return {
    touches: tables.map(({ table }) => `SELECT 1 FROM ${qualified(table.schema, table.name)} LIMIT 0`),
    statements: tables.map(({ table }) => createdSql(table)),
    assert: (live) => {
      const [seen] = tables.flatMap((one, at) => differenceOf(tracked, side, one, live[at]!) ?? []);
      if (seen !== undefined) throw new ShapeDiffers(seen);
    },
  };
}

function differenceOf(
  tracked: Tracked,
  side: Side,
  { id, table, tenancy }: TrackedTable,
  live: Shape | null,
): Seen | null {
  const recorded = tracked.shape(side, id);
  if (recorded === live || (recorded !== null && describeChange(recorded, live).length === 0)) return null;
  return { side, id, name: label(tenancy.kind === 'schema', table), live };
}

interface Seen {
  readonly side: Side;
  readonly id: number;
  readonly name: string;
  readonly live: Shape | null;
}

/**
 * Thrown where a session is held. What the difference means is asked when it has been given back (`judged`): who held one
 * and waited for another would wait for ever beside others that do so.
 */
class ShapeDiffers extends Error {
  readonly seen: Seen;

  constructor(seen: Seen) {
    super(`${seen.side} table ${seen.name} is not as it was recorded`);
    this.seen = seen;
  }
}

/** For work that looks at shapes in sessions of its own. @throws as `assertShapes`, after the sessions were given back */
export async function judged<T>(pair: Pair, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof ShapeDiffers ? await judge(pair, error.seen) : error;
  }
}

async function judge(pair: Pair, { side, id, name, live }: Seen): Promise<never> {
  const tracked = qualified(pair.control, 'tracked_table');
  const [row] = await pair.source.rows(`SELECT ${side}_shape AS shape FROM ${tracked} WHERE id = ${id}`);
  const latest = row?.['shape'] ?? null;
  if (latest === null)
    throw new SchemaMismatchError(
      `${side} table ${name} was not there at the install; run switchback install`,
    );
  const differences = describeChange(latest, live);
  if (differences.length === 0)
    throw new TransientDatabaseError(`${side}: table ${name} was altered, and a retry took that over: again`);
  const change = changeOf(side, name, differences);
  // Unless a retry has taken it over since.
  await pair.source.run(`UPDATE ${tracked} SET altered = ? WHERE id = ${id} AND ${side}_shape = ?`, [
    change,
    latest,
  ]);
  throw new SchemaMismatchError(`${change}; ${wayOut(side)}`);
}

/**
 * A statement that a server refuses may have met an altered table: then that is what is said.
 *
 * @throws always: SchemaMismatchError, or the error itself
 */
export async function explained(
  pair: Pair,
  tracked: Tracked,
  ids: Iterable<number>,
  error: unknown,
): Promise<never> {
  if (error instanceof DatabaseError) {
    const tables = [...ids];
    for (const side of SIDES) await assertShapes(pair, tracked, { on: pair[side], side, ids: tables });
  }
  throw error;
}

/** Looks at every tracked table, and keeps what was found for `status`, `why` and the gates. @returns changes not known before */
export async function watchShapes(pair: Pair): Promise<string[]> {
  const tracked = qualified(pair.control, 'tracked_table');
  const rows = await pair.source.rows(
    `SELECT id, name, owner, source_shape, target_shape, altered FROM ${tracked} WHERE shaped_at IS NOT NULL`,
  );
  const fresh: string[] = [];
  for (const row of rows) {
    const name = row['name']!;
    const changes: string[] = [];
    for (const side of SIDES) {
      const recorded = row[`${side}_shape`] ?? null;
      if (recorded === null) continue;
      const schema = schemaFor(pair, side, row);
      const differences = describeChange(recorded, await readShape(pair[side], { schema, name }));
      if (differences.length > 0)
        changes.push(changeOf(side, label(row['owner'] !== '', { schema, name }), differences));
    }
    const altered = changes.length === 0 ? null : changes.join('; ');
    if (altered === (row['altered'] ?? null)) continue;
    // A retry may have taken the change over since the row was read: then what was seen is no news.
    const { affectedRows } = await pair.source.run(
      `UPDATE ${tracked} SET altered = ? WHERE id = ? AND source_shape <=> ? AND target_shape <=> ?`,
      [altered, row['id']!, row['source_shape'] ?? null, row['target_shape'] ?? null],
    );
    if (affectedRows > 0 && altered !== null) fresh.push(altered);
  }
  return fresh;
}

/** What was altered and is not taken over, of the tables that a tenant's line works on. */
export async function alteredTables(pair: Pair, tenant: string | null = null): Promise<string[]> {
  const rows = await pair.source.rows(
    `SELECT altered, owner, tenancy FROM ${qualified(pair.control, 'tracked_table')} WHERE altered IS NOT NULL ORDER BY id`,
  );
  return rows
    .filter((row) => {
      const { kind } = JSON.parse(row['tenancy']!) as { kind: string };
      if (kind === 'schema') return tenant === null || row['owner'] === tenant;
      return tenant === null || (kind === 'shared') === (tenant === SHARED);
    })
    .map((row) => row['altered']!);
}

/** Numbers of the altered tables and of those whose tenant is found through one. */
export async function heldTables({ source, control }: Pair, tracked: Tracked): Promise<number[]> {
  const rows = await source.rows(
    `SELECT id FROM ${qualified(control, 'tracked_table')} WHERE altered IS NOT NULL`,
  );
  const altered = new Set(rows.map((row) => Number(row['id'])));
  if (altered.size === 0) return [];
  return tracked
    .all()
    .filter((table) => [...readBy(tracked, 'source', [table.id]).values()].some(({ id }) => altered.has(id)))
    .map(({ id }) => id);
}

/** @throws SchemaMismatchError while a table of the tenant is altered and that is not taken over */
export async function assertNotAltered(pair: Pair, tenant: string): Promise<void> {
  const altered = await alteredTables(pair, tenant);
  if (altered.length === 0) return;
  const side = altered[0]!.startsWith('target') ? 'target' : 'source';
  throw new SchemaMismatchError(`${altered.join('; ')}; ${wayOut(side)}`);
}

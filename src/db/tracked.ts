/** The tracked tables of a migration with their numbers: what every applier and checker works from. */
import { isCapture, type Capture } from '../domain/capture.ts';
import { SchemaMismatchError } from '../domain/errors.ts';
import type { Tenancy } from '../domain/plan.ts';
import { readTables } from './catalog.ts';
import type { Database } from './database.ts';
import type { Shape } from './fingerprint.ts';
import { qualified } from './sql.ts';
import { onTarget, track, type TrackedTable } from './tenancy.ts';

/** Both sides of a migration, as every piece of code below `src/db` takes them. */
export interface Pair {
  readonly source: Database;
  readonly target: Database;
  /** Name of the control schema, the same on both sides. */
  readonly control: string;
  readonly sourceSchema: string;
  readonly targetSchema: string;
}

/** Definitions of one table as the install or a retry found them; null: the table was not there. */
export interface Shapes {
  readonly source: Shape | null;
  readonly target: Shape | null;
}

export class Tracked {
  readonly #source: ReadonlyMap<number, TrackedTable>;
  readonly #target: ReadonlyMap<number, TrackedTable>;
  readonly #shapes: ReadonlyMap<number, Shapes>;
  /** As it was installed: what the plan says later changes nothing until it is installed again. */
  readonly capture: Capture;

  constructor(
    tables: readonly TrackedTable[],
    targetSchema: string,
    shapes: ReadonlyMap<number, Shapes>,
    capture: Capture = 'triggers',
  ) {
    this.#shapes = shapes;
    this.capture = capture;
    this.#source = new Map(tables.map((tracked) => [tracked.id, tracked]));
    this.#target = new Map(tables.map((tracked) => [tracked.id, onTarget(tracked, targetSchema)]));
  }

  /** Parents before their children. */
  all(): TrackedTable[] {
    return [...this.#source.values()].sort((a, b) => a.chain.length - b.chain.length || a.id - b.id);
  }

  source(id: number): TrackedTable {
    return found(this.#source.get(id), id);
  }

  target(id: number): TrackedTable {
    return found(this.#target.get(id), id);
  }

  shape(side: keyof Shapes, id: number): Shape | null {
    return this.#shapes.get(id)?.[side] ?? null;
  }

  byName(name: string): TrackedTable {
    const tracked = this.all().find(({ table }) => table.name === name);
    if (tracked === undefined)
      throw new SchemaMismatchError(`table ${name} is not tracked; run switchback install`);
    return tracked;
  }
}

function found(tracked: TrackedTable | undefined, id: number): TrackedTable {
  if (tracked === undefined)
    throw new SchemaMismatchError(`table number ${id} is not tracked; run switchback install`);
  return tracked;
}

/** Changes whenever the tracked tables must be read again: by an install, by a retry after a schema change. */
export async function trackedSince({ source, control }: Pair): Promise<string> {
  const [row] = await source.rows(
    `SELECT CONCAT_WS(' ', COUNT(*), MAX(installed_at), MAX(shaped_at)) AS since FROM ${qualified(control, 'tracked_table')}`,
  );
  return row?.['since'] ?? '';
}

/**
 * Reads the tracked tables from the source's control schema and the source's own definitions. The shapes first: a table
 * that is altered in between is then known by its former shape, and nothing is committed for it.
 *
 * @throws SchemaMismatchError when a tracked table is gone
 */
export async function loadTracked(pair: Pair): Promise<Tracked> {
  const rows = await pair.source.rows(
    `SELECT id, name, tenancy, time_column, source_shape, target_shape, (SELECT capture FROM ${qualified(pair.control, 'version')} WHERE id = 1) AS capture
     FROM ${qualified(pair.control, 'tracked_table')} ORDER BY id`,
  );
  const names = rows.map((row) => row['name']!);
  const tables = await readTables(pair.source, pair.sourceSchema, names);
  const missing = names.find((name) => !tables.some((table) => table.name === name));
  if (missing !== undefined)
    throw new SchemaMismatchError(`source table ${missing} is gone; restore it or take it out of the plan`);
  const plans = rows.map((row, index) => ({
    id: Number(row['id']),
    table: tables[index]!,
    tenancy: JSON.parse(row['tenancy']!) as Tenancy,
    time: row['time_column'] ?? null,
  }));
  const byName = new Map(plans.map((plan) => [plan.table.name, plan]));
  return new Tracked(
    plans.map((plan) => track(plan, byName)),
    pair.targetSchema,
    new Map(
      rows.map((row) => [
        Number(row['id']),
        { source: row['source_shape'] ?? null, target: row['target_shape'] ?? null },
      ]),
    ),
    captureOf(rows[0]?.['capture'] ?? 'triggers'),
  );
}

export function captureOf(word: string): Capture {
  if (isCapture(word)) return word;
  throw new SchemaMismatchError(`unknown capture ${word}; is this process older than the control schema?`);
}

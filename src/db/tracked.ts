/** The tracked tables of a migration with their numbers: what every applier and checker works from. */
import { isCapture, type Capture } from '../domain/capture.ts';
import { SchemaMismatchError } from '../domain/errors.ts';
import type { Tenancy } from '../domain/plan.ts';
import { isPerTenant, schemaOf } from '../domain/tenant-schema.ts';
import { readTables } from './catalog.ts';
import type { Database, TextRow } from './database.ts';
import type { Shape } from './fingerprint.ts';
import { qualified, tenantLiteral } from './sql.ts';
import { concerns, onTarget, track, type TrackedTable } from './tenancy.ts';

/** Both sides of a migration, as every piece of code below `src/db` takes them. */
export interface Pair {
  readonly source: Database;
  readonly target: Database;
  /** Name of the control schema, the same on both sides. */
  readonly control: string;
  /** `app_{tenant}` where every tenant has a schema of its own: then `homes` says which there are. */
  readonly sourceSchema: string;
  readonly targetSchema: string;
  /** Told of tenants whose rows have changed, before their journal is forgotten; bounded in time, never fails. */
  readonly changed?: (tenants: readonly string[]) => Promise<void>;
}

/** A pair that looks at one schema of each side. */
export interface Home extends Pair {
  /** Tenant whose schemas they are; null: all tenants share them. */
  readonly owner: string | null;
}

export const homeOf = (pair: Pair, tenant: string): Home =>
  isPerTenant(pair.sourceSchema)
    ? {
        ...pair,
        sourceSchema: schemaOf(pair.sourceSchema, tenant),
        targetSchema: schemaOf(pair.targetSchema, tenant),
        owner: tenant,
      }
    : { ...pair, owner: null };

/** Every schema that has tracked tables. */
export async function homes(pair: Pair): Promise<Home[]> {
  if (!isPerTenant(pair.sourceSchema)) return [{ ...pair, owner: null }];
  const rows = await pair.source.rows(
    `SELECT DISTINCT owner FROM ${qualified(pair.control, 'tracked_table')} ORDER BY owner`,
  );
  return rows.map((row) => homeOf(pair, row['owner']!));
}

/** As the control tables keep it. */
export const ownerLiteral = ({ owner }: Home): string => tenantLiteral(owner ?? '');

/** Of the control tables that say it: rows of this home. */
export const ofHome = (home: Home): string => `owner = ${ownerLiteral(home)}`;

/** Definitions of one table as the install or a retry found them; null: the table was not there. */
export interface Shapes {
  readonly source: Shape | null;
  readonly target: Shape | null;
}

interface Beside {
  readonly shapes: ReadonlyMap<number, Shapes>;
  readonly gone: readonly Gone[];
  readonly capture: Capture;
}

export class Tracked {
  readonly #source: ReadonlyMap<number, TrackedTable>;
  readonly #target: ReadonlyMap<number, TrackedTable>;
  readonly #shapes: ReadonlyMap<number, Shapes>;
  /** As it was installed: what the plan says later changes nothing until it is installed again. */
  readonly capture: Capture;

  readonly #gone: readonly Gone[];

  constructor(tables: readonly TrackedTable[], targetSchema: string, { shapes, gone, capture }: Beside) {
    const schemaOnTarget = ({ owner }: TrackedTable): string => schemaOf(targetSchema, owner ?? '');
    this.#shapes = shapes;
    this.#gone = gone;
    this.capture = capture;
    this.#source = new Map(tables.map((tracked) => [tracked.id, tracked]));
    this.#target = new Map(tables.map((tracked) => [tracked.id, onTarget(tracked, schemaOnTarget(tracked))]));
  }

  /** Parents before their children. */
  all(): TrackedTable[] {
    return parentsFirst([...this.#source.values()]);
  }

  /**
   * Tables in which the tenant may have rows, parents before children; `_shared` has the shared ones and no other.
   *
   * @throws SchemaMismatchError when one of them is gone
   */
  of(tenant: string): TrackedTable[] {
    const gone = this.#gone.find(({ owner }) => owner === tenant);
    if (gone !== undefined) throw isGone(gone.name);
    return this.all().filter((tracked) => concerns(tracked, tenant));
  }

  has(id: number): boolean {
    return this.#source.has(id);
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

  /** @param tenant where each has its own */
  byName(name: string, tenant: string | null = null): TrackedTable {
    const tracked = this.all().find(
      ({ table, owner }) => table.name === name && (tenant === null || owner === tenant),
    );
    if (tracked === undefined)
      throw new SchemaMismatchError(`table ${name} is not tracked; run switchback install`);
    return tracked;
  }
}

export const parentsFirst = (tables: readonly TrackedTable[]): TrackedTable[] =>
  [...tables].sort((a, b) => a.chain.length - b.chain.length || a.id - b.id);

function found(tracked: TrackedTable | undefined, id: number): TrackedTable {
  if (tracked === undefined)
    throw new SchemaMismatchError(`table number ${id} is not tracked; run switchback install`);
  return tracked;
}

export const isGone = (table: string): SchemaMismatchError =>
  new SchemaMismatchError(`source table ${table} is gone; restore it or take it out of the plan`);

/** A table of a tenant whose schema, or this table of it, is no longer there: nobody else is held up. */
interface Gone {
  readonly owner: string;
  /** With its schema. */
  readonly name: string;
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
 * @throws SchemaMismatchError when a tracked table is gone that all tenants share
 */
export async function loadTracked(pair: Pair): Promise<Tracked> {
  const tables: TrackedTable[] = [];
  const shapes = new Map<number, Shapes>();
  const gone: Gone[] = [];
  const capture = await readCapture(pair);
  for (const home of await homes(pair)) {
    const found = await loadHome(home);
    tables.push(...found.tables);
    for (const [id, shape] of found.shapes) shapes.set(id, shape);
    const [missing] = found.missing;
    if (missing === undefined) continue;
    if (home.owner === null) throw isGone(missing);
    gone.push({ owner: home.owner, name: `${home.sourceSchema}.${missing}` });
  }
  return new Tracked(tables, pair.targetSchema, { shapes, gone, capture });
}

async function readCapture({ source, control }: Pair): Promise<Capture> {
  const [row] = await source.rows(`SELECT capture FROM ${qualified(control, 'version')} WHERE id = 1`);
  return captureOf(row?.['capture'] ?? 'triggers');
}

interface Loaded {
  /** In the order of their numbers. */
  readonly tables: readonly TrackedTable[];
  readonly shapes: ReadonlyMap<number, Shapes>;
  /** Names of those that are no longer there. */
  readonly missing: readonly string[];
}

/** One schema's tables. */
export async function loadHome(home: Home): Promise<Loaded> {
  const rows = await home.source.rows(
    `SELECT id, name, tenancy, time_column, source_shape, target_shape FROM ${qualified(home.control, 'tracked_table')} WHERE ${ofHome(home)} ORDER BY id`,
  );
  const names = rows.map((row) => row['name']!);
  const read = await readTables(home.source, home.sourceSchema, names);
  const byName = new Map(
    rows.flatMap((row) => {
      const table = read.find(({ name }) => name === row['name']);
      if (table === undefined) return [];
      const plan = {
        id: Number(row['id']),
        table,
        tenancy: JSON.parse(row['tenancy']!) as Tenancy,
        time: row['time_column'] ?? null,
      };
      return [[table.name, plan] as const];
    }),
  );
  const shapesOf = (row: TextRow): Shapes => ({
    source: row['source_shape'] ?? null,
    target: row['target_shape'] ?? null,
  });
  return {
    tables: [...byName.values()].map((plan) => track(plan, byName, home.owner)),
    shapes: new Map(rows.map((row) => [Number(row['id']), shapesOf(row)])),
    missing: names.filter((name) => !byName.has(name)),
  };
}

export function captureOf(word: string): Capture {
  if (isCapture(word)) return word;
  throw new SchemaMismatchError(`unknown capture ${word}; is this process older than the control schema?`);
}

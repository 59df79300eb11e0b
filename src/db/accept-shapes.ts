/**
 * A retry after a schema change: once both sides fit again, the new definitions are what the line works from.
 *
 * Nothing is taken over that preflight would refuse, or that the triggers that stand do not cover. A pass that
 * was under way proves nothing any more; the gates ask for one that began afterwards and compared every column.
 */
import type { Tenancy } from '../domain/plan.ts';
import { captureSql } from './capture.ts';
import { readTables } from './catalog.ts';
import { describeChange, readShape } from './fingerprint.ts';
import { kindOf } from './kinds.ts';
import { describeDifferences } from './preflight/differences.ts';
import { readDefaults } from './preflight/target-checks.ts';
import { schemaFor, watchShapes } from './shapes.ts';
import { qualified } from './sql.ts';
import { homeOf, type Home, type Pair } from './tracked.ts';

interface Change {
  readonly id: string;
  readonly owner: string;
  readonly name: string;
  readonly tenancy: Tenancy;
  readonly shapes: readonly [source: string, target: string];
}

/** @returns names of the tables whose new definitions were taken over; those that still do not fit stay altered */
export async function acceptShapes(pair: Pair): Promise<string[]> {
  const changes = await readChanges(pair);
  if (changes.length === 0 || (await captureSql(pair)).length > 0) {
    await watchShapes(pair);
    return [];
  }
  const fitting = await fit(pair, changes);
  if (fitting.length > 0) {
    await pair.source.transaction(async (session) => {
      for (const { id, shapes } of fitting) {
        await session.run(
          `UPDATE ${qualified(pair.control, 'tracked_table')} SET source_shape = ?, target_shape = ?, altered = NULL, shaped_at = NOW(6) WHERE id = ?`,
          [...shapes, id],
        );
      }
      await session.run(
        `UPDATE ${qualified(pair.control, 'pass')} SET ended_at = NOW(6) WHERE ended_at IS NULL`,
      );
    });
  }
  await watchShapes(pair);
  return fitting.map(({ name }) => name);
}

/** Tables of which a side is no longer as written down, and that stand on both. */
async function readChanges(pair: Pair): Promise<Change[]> {
  const rows = await pair.source.rows(
    `SELECT id, name, owner, tenancy, source_shape, target_shape FROM ${qualified(pair.control, 'tracked_table')} WHERE shaped_at IS NOT NULL`,
  );
  const changes: Change[] = [];
  for (const row of rows) {
    const name = row['name']!;
    const [source, target] = await Promise.all([
      readShape(pair.source, { schema: schemaFor(pair, 'source', row), name }),
      readShape(pair.target, { schema: schemaFor(pair, 'target', row), name }),
    ]);
    if (source === null || target === null) continue;
    const differ = (was: string | null | undefined, is: string): boolean =>
      was === null || was === undefined || describeChange(was, is).length > 0;
    if (differ(row['source_shape'], source) || differ(row['target_shape'], target))
      changes.push({
        id: row['id']!,
        owner: row['owner']!,
        name,
        tenancy: JSON.parse(row['tenancy']!) as Tenancy,
        shapes: [source, target],
      });
  }
  return changes;
}

async function fit(pair: Pair, changes: readonly Change[]): Promise<Change[]> {
  const fitting: Change[] = [];
  for (const owner of new Set(changes.map((change) => change.owner))) {
    const own = changes.filter((change) => change.owner === owner);
    fitting.push(...(await fitIn(homeOf(pair, owner), own)));
  }
  return fitting;
}

async function fitIn(pair: Home, changes: readonly Change[]): Promise<Change[]> {
  const names = changes.map(({ name }) => name);
  const [here, there, defaults] = await Promise.all([
    readTables(pair.source, pair.sourceSchema, names),
    readTables(pair.target, pair.targetSchema, names),
    readDefaults(pair.target, pair.targetSchema, names),
  ]);
  return changes.filter(({ name, tenancy }) => {
    const [source, target] = [here, there].map((tables) => tables.find((table) => table.name === name));
    if (source === undefined || target === undefined) return false;
    if (source.columns.some((column) => kindOf(column) === null)) return false;
    const keys = tenancy.kind === 'column' ? [tenancy.column] : [];
    return (
      describeDifferences(source, target, { defaults: defaults.get(name) ?? new Set(), keys }).length === 0
    );
  });
}

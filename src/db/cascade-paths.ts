/**
 * Where a foreign key's action leads, by names alone: which rows of tracked tables change when a row of a
 * parent goes or gets another key.
 *
 * A deleted row takes or empties its children by ON DELETE; a row that is changed, be it by SET NULL, changes
 * those that refer to the changed columns by ON UPDATE. Deletes may come back to a table and go on for
 * fifteen levels, further the server refuses the statement; updates that come back are refused at once.
 */
import type { ForeignKey } from './catalog.ts';

export type ParentEvent = 'DELETE' | 'UPDATE';

/** From a table to the one above it: `table.down = above.up` for each pair. */
export interface CascadeStep {
  readonly table: string;
  readonly columns: readonly (readonly [down: string, up: string])[];
}

export interface CascadeNode {
  readonly step: CascadeStep;
  readonly below: readonly CascadeNode[];
}

/** Of a table that finds its tenant through another: `column` of the child, `references` of its parent. */
export interface TenancyLink extends Readonly<Record<'child' | 'parent' | 'column' | 'references', string>> {}

export interface CascadeGraph {
  readonly foreignKeys: readonly ForeignKey[];
  readonly links: readonly TenancyLink[];
  /** Tracked tables with the column that decides whose a row is: its tenant's, or the one that leads to its parent; null: shared. */
  readonly tracked: ReadonlyMap<string, string | null>;
}

const LEVELS_MAX = 15;
/** More than anybody wrote on purpose; two foreign keys from a table to itself already make 32,000. */
export const STEPS_MAX = 200;

type Effect = { readonly deleted: true } | { readonly deleted: false; readonly columns: ReadonlySet<string> };

const ACTS = new Set(['CASCADE', 'SET NULL']);

interface Place {
  readonly table: string;
  readonly effect: Effect;
  readonly level: number;
  /** Tables that were updated on the way: they are not updated twice. */
  readonly updated: ReadonlySet<string>;
}

/**
 * @returns a tree below the parent, without branches that reach no tracked table; empty where nothing is
 *   reached; null when it has more than `STEPS_MAX` steps
 */
export function cascadeTree(graph: CascadeGraph, parent: string, event: ParentEvent): CascadeNode[] | null {
  let steps = 0;
  const descend = ({ table, effect, level, updated }: Place): CascadeNode[] => {
    if (level > LEVELS_MAX || steps > STEPS_MAX) return [];
    const reached = graph.foreignKeys.flatMap((key): [CascadeStep, Place | null][] => {
      const next = key.parent === table ? effectOn(key, effect) : null;
      if (next === null) return [];
      const step = {
        table: key.table,
        columns: key.columns.map((down, at) => [down, key.parentColumns[at]!] as const),
      };
      // It acts like RESTRICT; the step is kept for servers that think otherwise.
      const isRepeated = !next.deleted && updated.has(key.table);
      const seen = next.deleted ? updated : new Set([...updated, key.table]);
      return [
        [step, isRepeated ? null : { table: key.table, effect: next, level: level + 1, updated: seen }],
      ];
    });
    const owned =
      level === 1 ? [] : graph.links.filter((link) => link.parent === table && decides(graph, link, effect));
    const below = [
      ...reached,
      // Whose tenant is found through a row that went or moved; it has changed no column itself.
      ...owned.map(({ child, column, references }): [CascadeStep, Place] => [
        { table: child, columns: [[column, references]] },
        { table: child, effect: { deleted: false, columns: new Set([column]) }, level: level + 1, updated },
      ]),
    ];
    const unique = new Map(below.map((one) => [JSON.stringify(one[0]), one]));
    return [...unique.values()].flatMap(([step, place]): CascadeNode[] => {
      steps += 1;
      const further = place === null ? [] : descend(place);
      return graph.tracked.has(step.table) || further.length > 0 ? [{ step, below: further }] : [];
    });
  };
  const every = new Set(graph.foreignKeys.flatMap((key) => (key.parent === parent ? key.parentColumns : [])));
  const effect: Effect = event === 'DELETE' ? { deleted: true } : { deleted: false, columns: every };
  const tree = descend({
    table: parent,
    effect,
    level: 1,
    updated: new Set(event === 'UPDATE' ? [parent] : []),
  });
  return steps > STEPS_MAX ? null : tree;
}

/** What happens to a child whose parent met an effect; null: nothing. */
function effectOn(key: ForeignKey, effect: Effect): Effect | null {
  if (effect.deleted) {
    if (!ACTS.has(key.onDelete)) return null;
    return key.onDelete === 'CASCADE' ? effect : { deleted: false, columns: new Set(key.columns) };
  }
  const changed = key.columns.filter((_, at) => effect.columns.has(key.parentColumns[at]!));
  if (changed.length === 0 || !ACTS.has(key.onUpdate)) return null;
  return { deleted: false, columns: new Set(key.onUpdate === 'CASCADE' ? changed : key.columns) };
}

/** Does it change whose the rows are that find their tenant through this one? */
function decides(graph: CascadeGraph, { parent, references }: TenancyLink, effect: Effect): boolean {
  if (effect.deleted) return true;
  return [references, graph.tracked.get(parent)].some((column) => effect.columns.has(column ?? ''));
}

/**
 * Triggers on every table from which a foreign key's action reaches a tracked one, over any number of levels:
 * the action fires no trigger of the child, so whoever sets it off journals what it will change.
 */
import { SchemaMismatchError } from '../domain/errors.ts';
import {
  cascadeTree,
  STEPS_MAX,
  type CascadeGraph,
  type CascadeNode,
  type CascadeStep,
} from './cascade-paths.ts';
import type { ForeignKey } from './catalog.ts';
import { journalReached } from './journal-sql.ts';
import { ident } from './sql.ts';
import { joinChain, tenantSql, type TrackedTable } from './tenancy.ts';
import type { Tenancy } from '../domain/plan.ts';
import type { CaptureInput, Trigger } from './triggers.ts';

/** Children are found by what they refer to before; one whose own key follows has its new key only after. */
// prettier-ignore
const TRIGGERS: Readonly<Record<string, Pick<Trigger, 'timing'> & { readonly event: 'DELETE' | 'UPDATE'; readonly row: 'OLD' | 'NEW' }>> = {
  delete:  { timing: 'BEFORE', event: 'DELETE', row: 'OLD' },
  update:  { timing: 'BEFORE', event: 'UPDATE', row: 'OLD' },
  updated: { timing: 'AFTER',  event: 'UPDATE', row: 'NEW' },
};

const ACTS = new Set(['CASCADE', 'SET NULL']);

/** @throws SchemaMismatchError when actions come together in more ways than a trigger can follow */
export function cascadeTriggers(input: CaptureInput, prefix: string): Trigger[] {
  const graph = cascadeGraph(
    input.foreignKeys,
    input.tables.map(({ table, tenancy }) => ({ name: table.name, tenancy })),
  );
  const parents = [...new Set(input.foreignKeys.map((key) => key.parent))].sort();
  return parents.flatMap((parent) =>
    Object.entries(TRIGGERS).flatMap(([name, { timing, event, row }]): Trigger[] => {
      const tree = cascadeTree(graph, parent, event);
      if (tree === null) throw new SchemaMismatchError(`table ${parent}: ${tooMany}`);
      const body = tree.map((node) => nodeSql(input, node, [node.step], row)).join('');
      if (body === '') return [];
      const guarded = event === 'UPDATE' ? whenReferencedChanges(input.foreignKeys, parent, body) : body;
      return [
        {
          name: `${prefix}cascade_${name}_${parent}`,
          table: parent,
          timing,
          event,
          body: `BEGIN ${guarded}END`,
        },
      ];
    }),
  );
}

export const tooMany = `foreign keys act from here in more than ${STEPS_MAX} ways that come back to the same tables; make some of them RESTRICT or NO ACTION`;

export function cascadeGraph(
  foreignKeys: readonly ForeignKey[],
  tables: readonly { readonly name: string; readonly tenancy: Tenancy }[],
): CascadeGraph {
  return {
    foreignKeys,
    links: tables.flatMap(({ name, tenancy }) =>
      tenancy.kind === 'parent'
        ? [{ child: name, parent: tenancy.parent, column: tenancy.column, references: tenancy.references }]
        : [],
    ),
    tracked: new Map(tables.map(({ name, tenancy }) => [name, 'column' in tenancy ? tenancy.column : null])),
  };
}

/** What is below a row that is not there is not looked for. */
function nodeSql(
  input: CaptureInput,
  { step, below }: CascadeNode,
  path: readonly CascadeStep[],
  row: 'OLD' | 'NEW',
): string {
  const further = below.map((node) => nodeSql(input, node, [node.step, ...path], row)).join('');
  const child = input.tables.find(({ table }) => table.name === step.table);
  return child === undefined
    ? further
    : journalReached(input, child, { path, row, ...ownerSql(child) }, further);
}

/** As the row itself or its own parents say it: the row that set the action off may be somebody else's. */
const ownerSql = (child: TrackedTable): { owner: string; join: string } => ({
  owner: tenantSql(child, 'c0'),
  join: joinChain(child, 'c0'),
});

/** An update that leaves the referenced columns alone, to the byte, cascades to nobody; what a collation takes for equal does. */
function whenReferencedChanges(foreignKeys: readonly ForeignKey[], parent: string, body: string): string {
  const acting = foreignKeys.filter((key) => key.parent === parent && ACTS.has(key.onUpdate));
  const columns = new Set(acting.flatMap((key) => key.parentColumns));
  const bytes = (row: 'OLD' | 'NEW', column: string): string => `CAST(${row}.${ident(column)} AS BINARY)`;
  const same = [...columns]
    .map((column) => `${bytes('OLD', column)} <=> ${bytes('NEW', column)}`)
    .join(' AND ');
  return `IF NOT (${same}) THEN ${body}END IF; `;
}

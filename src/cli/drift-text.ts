/** One drift as a person reads it. */
import type { DriftRecord } from '../db/pass-evidence.ts';
import type { Tracked } from '../db/tracked.ts';
import { keyText } from './keys-text.ts';

export type DriftShown = Omit<DriftRecord, 'tableId'> & { readonly table: string };

/** Keys are decoded; a table that left the plan keeps its number and the key as it was journaled. */
export function lineOf(tracked: Tracked, { tableId, ...row }: DriftRecord): DriftShown {
  const known = tracked.all().find(({ id }) => id === tableId);
  if (known === undefined) return { ...row, table: `#${tableId}` };
  return { ...row, table: known.table.name, key: keyText(known.table, row.key) };
}

const REPAIRERS: Readonly<Record<string, string>> = {
  policy: 'by the policy: a missing row is mirrored again at once',
  operator: 'by switchback repair',
  backfill: 'by a new backfill, which replaced every row',
};

export const stateOf = ({ repairedAt, verifiedAt }: DriftShown): string =>
  repairedAt === null ? 'open' : verifiedAt === null ? 'repaired' : 'verified';

export function stateLines({ repairedAt, repairedBy, verifiedAt }: DriftShown): string[] {
  if (repairedAt === null) return ['  open: nobody repaired it yet'];
  const by = REPAIRERS[repairedBy ?? ''];
  return [
    `  repaired ${repairedAt}${by === undefined ? '' : ` ${by}`}`,
    verifiedAt === null
      ? '  not verified yet: a later pass has to read it equal'
      : `  verified ${verifiedAt}: a later pass read it equal`,
  ];
}

const row = (there: boolean, owner: string | null): string =>
  there ? `there${owner === null ? ', of nobody' : `, of ${owner}`}` : 'not there';

const HOW = {
  read: '',
  mirrored: ', after the key was mirrored under the lock',
  settled: ', under the lock of the source row, after both sides had stood still',
} as const;

/** What the verdict stood on. */
export function inputLines({ inputs }: DriftShown): string[] {
  if (inputs === null) return [];
  const { how, look, locked, lockedTenants, journalIds, source, target } = inputs;
  const more = lockedTenants > locked.length ? ` and ${lockedTenants - locked.length} more` : '';
  const journal =
    journalIds === null ? 'empty' : `ids ${journalIds.first} to ${journalIds.last}, none of them of this key`;
  return [
    `  read ${inputs.readAt.replace(' ', 'T')}Z, at look ${look}${HOW[how]}`,
    `  locked on the target: ${locked.join(', ')}${more}`,
    `  source row ${row(inputs.sourceRow, inputs.sourceOwner)}${inputs.sourceRow && !inputs.ownerMirrored ? ', who does not migrate: counts as absent' : ''}`,
    `  target row ${row(inputs.targetRow, inputs.targetOwner)}`,
    `  journal ${journal}`,
    `  source ${source.version} ${source.name} (${source.id})`,
    `  target ${target.version} ${target.name} (${target.id})`,
  ];
}

/** The rows of `switchback history …`. */
import type { CommandRow, OptionRow } from './command-row.ts';

const RUN = 'Run and keep:';

const FROM: OptionRow = {
  flags: '--from <dir>',
  does: "Folder of an export; default the plan's history.folder, else ./histories.",
};

// prettier-ignore
export const HISTORY_ROWS: readonly CommandRow[] = [
  {
    name: 'history export', group: RUN, args: ['[tenant]'],
    options: [
      { flags: '--out <dir>', does: "Folder to write to; default the plan's history.folder, else ./histories." },
      { flags: '--dry-run', does: 'Say which runs are not in the folder yet, and when Temporal deletes them.' },
    ],
    summary: 'Write what is new of the workflow histories as JSON, with sums and a manifest.',
    does: "Write the history of every run as JSON that can be replayed: of one tenant, or of all tenants and the fleet, with the runs of the continuous reconcile. Only what is new is written: a run that ended once, an open one as it stands. Beside each file its SHA-256, and manifest.jsonl with one line a run. May be cut off and repeated. Do it more often than the namespace's retention, or let the workers: history: { folder } in the plan.",
    examples: ['history export', 'history export acme --out ./histories', 'history export --dry-run'],
    lasts: true,
    load: () => import('./history-export.ts'),
  },
  {
    name: 'history verify', group: RUN, args: ['[tenant]'],
    options: [FROM, { flags: '--sums-only', does: 'Do not replay.' }],
    summary: 'Check the sums of an export, and replay it on the code of today.',
    does: "Check every file of an export: is it there, does its SHA-256 fit, is it the run that the manifest names, is the chain of runs whole, and does today's workflow code replay it, command for command? Needs neither Temporal nor a database. Exit 5 when a file does not hold, with the file and why.",
    examples: ['history verify', 'history verify acme --from ./histories', 'history verify --sums-only --json'],
    load: () => import('./history-verify.ts'),
  },
  {
    name: 'history show', group: RUN, args: ['[tenant]'],
    options: [FROM, { flags: '--passes', does: 'Each run of the continuous reconcile too, not only those that found drift.' }],
    summary: 'Tell the weeks of a tenant, or of the fleet: phases, flips, orders, gates, drift.',
    does: "Tell what happened, in order: phases and flips, orders with who gave them and why, gates with the numbers that they saw, drift, stops, drills, faults. From Temporal, and from an export for the runs that Temporal has deleted; with --from from the export alone. Repairs and rollbacks past the workflow come from the control schema (`byHand`), if the source can be read. Without a tenant the fleet's own story.",
    examples: ['history show acme', 'history show', "history show acme --from ./histories --json | jq '.told[] | select(.kind == \"flip\")'"],
    load: () => import('./history-show.ts'),
  },
];

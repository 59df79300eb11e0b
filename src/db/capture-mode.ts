/**
 * What differs between the two modes of capture, in one table: how it is installed and watched, how a suspect is
 * judged and a row repaired. Everything else is the same code. The third part of it, how long the source is held
 * while a window is copied, is `HOLDS` in `held.ts`.
 */
import type { Capture } from '../domain/capture.ts';
import { converge } from './converge.ts';
import type { Judged } from './judge.ts';
import { judgeKeys, judgeSuspects, type Findings, type Suspects } from './verdict.ts';
import { insertMissing, judgeSettled, look, replaceRows, type Repair } from './settled.ts';
import type { Pair, Tracked } from './tracked.ts';

export interface CaptureMode {
  readonly judge: (pair: Pair, tracked: Tracked, suspects: Suspects) => Promise<Findings>;
  /** Suspects of one verdict: waiting for many costs no more than for one. */
  readonly judgedAtOnce: number;
  /** One look at rows that were repaired: which are equal now? */
  readonly compare: (
    pair: Pair,
    tracked: Tracked,
    rows: { readonly tenant: string; readonly tableId: number; readonly keys: readonly string[] },
  ) => Promise<Judged[]>;
  /** Would an UPDATE of a time column be noticed? Else windows are cut by key. */
  readonly watchesTime: boolean;
  /** What reconcile does about missing rows. */
  readonly repairMissing: (pair: Pair, tracked: Tracked, repair: Repair) => Promise<void>;
  /** Makes the target's rows what the source has, whatever stands there. */
  readonly repair: (pair: Pair, tracked: Tracked, repair: Repair) => Promise<void>;
}

const mirrorAgain = async (
  pair: Pair,
  tracked: Tracked,
  { tenants, tableId, keys }: Repair,
): Promise<void> => {
  await converge(pair, tracked, { tenants, journal: null, keys: new Map([[tableId, new Set(keys)]]) });
};

export const CAPTURE_MODES: Readonly<Record<Capture, CaptureMode>> = {
  triggers: {
    judge: judgeSuspects,
    watchesTime: true,
    judgedAtOnce: 100,
    compare: (pair, tracked, { tenant, tableId, keys }) => judgeKeys(pair, tracked, tenant, tableId, keys),
    repairMissing: mirrorAgain,
    repair: mirrorAgain,
  },
  application: {
    judge: judgeSettled,
    watchesTime: false,
    judgedAtOnce: Number.MAX_SAFE_INTEGER,
    compare: (pair, tracked, { tableId, keys }) => look(pair, tracked, tableId, keys),
    repairMissing: insertMissing,
    repair: replaceRows,
  },
};

export const modeOf = ({ capture }: Tracked): CaptureMode => CAPTURE_MODES[capture];

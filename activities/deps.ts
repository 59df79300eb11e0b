/** What activities work with; a worker process has one. */
import type { ProbeAnswer } from '../src/domain/probe.ts';
import type { Plan } from '../src/domain/plan.ts';
import type { StageRow } from '../src/db/stages.ts';
import type { StageWatch } from '../src/db/stage-watch.ts';
import type { Throttle } from '../src/db/throttle.ts';
import type { Pair, Tracked } from '../src/db/tracked.ts';

export interface Deps {
  readonly plan: Plan;
  readonly pair: Pair;
  readonly throttle: Throttle;
  readonly stages: StageWatch;
  readonly tracked: () => Promise<Tracked>;
  /** The drill's probe, as the plan names it; null: it names none. */
  readonly askProbe: (call: {
    readonly tenant: string;
    readonly drill: string;
  }) => Promise<ProbeAnswer | null>;
  /** Tells the application nodes at once; never fails, since the poll carries on. */
  readonly publish: (row: StageRow) => Promise<void>;
}

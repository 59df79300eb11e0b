/** What the drill does beside its two flips: ask the application, cut connections, look at the canaries, certify. */
import { checkCanaries, keepCanaries, type CanaryCheck } from '../src/db/canaries.ts';
import { writeCertificate } from '../src/db/certificates.ts';
import { journalState } from '../src/db/evidence.ts';
import { SECOND, type Milliseconds } from '../src/domain/duration.ts';
import type { Deps } from './deps.ts';
import { guarded } from './failures.ts';

export type Probed =
  | { readonly kind: 'none' }
  | { readonly kind: 'ok'; readonly reads: number; readonly canaries: number; readonly ms: Milliseconds }
  | { readonly kind: 'failed'; readonly why: string };

export interface DrillCheck extends CanaryCheck {
  /** Of the oldest journal row of the tenant, after the canaries were looked at; null: it could not be read. */
  readonly journalAge: Milliseconds | null;
}

export interface DrillActivities {
  /** `none`: the plan names no probe. Never fails for what the application does. */
  readonly probe: (input: { tenant: string; drill: string }) => Promise<Probed>;
  /** Has the target end the connections of this worker, once. @returns how many */
  readonly cutTarget: () => Promise<number>;
  readonly checkDrill: (input: { tenant: string; drill: string }) => Promise<DrillCheck>;
  readonly certifyDrill: (input: {
    tenant: string;
    content: Readonly<Record<string, string | number>>;
  }) => Promise<void>;
}

const CANARIES_WITHIN: Milliseconds = 20 * SECOND;

export function drillActivities({ pair, tracked, askProbe }: Deps): DrillActivities {
  return guarded<DrillActivities>({
    async probe({ tenant, drill }) {
      const began = performance.now();
      const answer = await askProbe({ tenant, drill });
      if (answer === null) return { kind: 'none' };
      if (!answer.ok) return { kind: 'failed', why: answer.why };
      await keepCanaries(pair, drill, tenant, answer.canaries);
      const ms = Math.round(performance.now() - began);
      return { kind: 'ok', reads: answer.reads, canaries: answer.canaries.length, ms };
    },
    cutTarget: () => pair.target.cut(),
    async checkDrill({ tenant, drill }) {
      const checked = await checkCanaries(pair, await tracked(), { drill, tenant, within: CANARIES_WITHIN });
      const { journalAge } = await journalState(pair.source, pair.control, [tenant]);
      return { ...checked, journalAge };
    },
    certifyDrill: ({ tenant, content }) => writeCertificate(pair, tenant, content),
  });
}

/** A waiver as it is shown for ever: standing, run out, or ended with its migration. */
import type { WaiverRow } from '../db/waivers.ts';
import { iso } from './fleet.ts';
import { oneLine } from './terminal.ts';

export interface WaiverLine {
  readonly tenant: string;
  readonly gate: string;
  readonly phase: string;
  readonly actor: string;
  readonly reason: string;
  readonly at: string;
  readonly until: string;
  readonly state: 'standing' | 'expired' | 'ended';
  /** When it ended, or will. */
  readonly endedAt: string;
}

export const waiverLine = ({ at, until, endedAt, standing, ...row }: WaiverRow): WaiverLine => ({
  ...row,
  at: iso(at),
  until: latestIso(until),
  state: standing ? 'standing' : endedAt === null ? 'expired' : 'ended',
  endedAt: endedAt === null ? latestIso(until) : iso(endedAt),
});

/** JavaScript's last day; somebody may have typed a later one. */
const latestIso = (ms: number): string => iso(Math.min(ms, 8.64e15));

const STATES: Readonly<Record<WaiverLine['state'], string>> = {
  standing: 'stands until',
  expired: 'ran out at',
  ended: 'ended with its migration at',
};

export const sayWaiver = ({ gate, phase, actor, reason, at, state, endedAt }: WaiverLine): string =>
  `${oneLine(gate)} in ${phase}, ${at}, by ${oneLine(actor)}: ${oneLine(reason)}; ${STATES[state]} ${endedAt}`;

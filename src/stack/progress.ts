import type { Log } from './servers.ts';

/** Often enough to see it move, seldom enough for a log file. */
const EVERY_MS = 10_000;
interface Job {
  readonly log: Log;
  readonly what: string;
  readonly expectedSeconds: number;
}

/** Takes the share done (0 to 1) of a long job, and says now and then how far it is and how long it will take. */
export function progress({ log, what, expectedSeconds }: Job): (share: number, detail?: string) => void {
  const begun = Date.now();
  let said = begun;
  return (share, detail = '') => {
    const now = Date.now();
    if (now - said < EVERY_MS) return;
    said = now;
    const elapsed = (now - begun) / 1000;
    // Early on the pace says little and the expectation is the better guess; later it is the other way round.
    const atThisPace = share > 0 ? elapsed / share : expectedSeconds;
    const left = share * atThisPace + (1 - share) * expectedSeconds - elapsed;
    const percent = Math.min(99, Math.floor(share * 100));
    log(
      `${what}: ${percent} %${detail === '' ? '' : ` (${detail})`}, about ${spoken(Math.max(1, left))} left`,
    );
  };
}

export function spoken(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

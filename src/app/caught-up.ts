/**
 * When a tenant's reads may go to the target without going back in time: once everything that this process has
 * read on the source, or that a token stands for, is there.
 *
 * A drain that begins now covers whatever was committed before now. So neither a token nor a source read has
 * to remember a place in the journal, whose ids commit out of order; the reader makes the bound.
 */
import { inTime } from './bounded.ts';
import { Coalesced } from './coalesced.ts';
import type { Flags } from './flags.ts';
import type { Settings } from './options.ts';
import type { ReplicaLink } from './replica.ts';
import type { Stats } from './stats.ts';
import { list, qualified, tenantLiteral } from '../db/sql.ts';
import type { Pair } from '../db/tracked.ts';
import { SECOND, type Milliseconds } from '../domain/duration.ts';
import { SHARED, STAGES, UNRESOLVED } from '../domain/stage.ts';

/** Tenants of which it is remembered what was read of them; tenant ids come from requests, and could be anything. */
const LINES_MAX = 10_000;
/** After a drain that failed or took longer than a read waits, nobody waits until one in the background was quick again. */
const PROBE_EVERY = SECOND;

interface Line {
  /** Answers of the source, and how many of them the target covers. */
  seen: number;
  covered: number;
  isQuick: boolean;
  probeAt: Milliseconds;
  readonly drain: Coalesced;
}

export class CaughtUp {
  readonly #link: ReplicaLink;
  readonly #flags: Flags;
  readonly #patience: Milliseconds;
  readonly #stats: Pick<Stats, 'forgotten'>;
  /** The one that was used least lately first. */
  readonly #lines = new Map<string, Line>();
  /** From the first that was forgotten on, whoever is not remembered may have been read on the source. */
  #hasForgotten = false;

  constructor(link: ReplicaLink, flags: Flags, { catchUpMs }: Settings, stats: Pick<Stats, 'forgotten'>) {
    this.#stats = stats;
    this.#link = link;
    this.#flags = flags;
    this.#patience = catchUpMs;
  }

  /** The source has just answered: what follows must not be older. */
  sourceAnswered(tenant: string): void {
    this.#line(tenant).seen += 1;
  }

  isBehind(tenant: string): boolean {
    const line = this.#lines.get(tenant);
    return line === undefined ? this.#hasForgotten : line.covered < line.seen;
  }

  /** Waits, for a bound; false: read the source. The drain goes on for those who come later. */
  async reach(tenant: string): Promise<boolean> {
    const line = this.#line(tenant);
    const endsAt = performance.now() + this.#patience;
    do {
      if (!line.isQuick) {
        this.#probe(line);
        return false;
      }
      line.isQuick = await this.#drained(line, endsAt);
    } while (line.isQuick && this.isBehind(tenant));
    return line.isQuick;
  }

  #probe(line: Line): void {
    const began = performance.now();
    if (began < line.probeAt) return;
    line.probeAt = began + PROBE_EVERY;
    line.drain.request().then(
      () => {
        if (performance.now() - began <= this.#patience) line.isQuick = true;
      },
      () => {}, // the next probe tries again
    );
  }

  #drained({ drain }: Line, endsAt: Milliseconds): Promise<boolean> {
    return inTime(drain.request(), Math.max(0, endsAt - performance.now()));
  }

  async #drain(tenant: string, line: Line): Promise<void> {
    const upTo = line.seen;
    await this.#link.use(async ({ pair, mirror }) => {
      // A row leaves the journal after the target has it: where none is, no lock has to be taken.
      for (const waiting of await this.#journaled(pair, tenant)) await mirror.drain(waiting);
    });
    line.covered = Math.max(line.covered, upTo);
  }

  /** Rows that all share, or that can't be told apart yet, may be the tenant's. */
  async #journaled({ source, control }: Pair, tenant: string): Promise<string[]> {
    const others = STAGES[this.#flags.get(SHARED).stage].mirrored ? [SHARED, UNRESOLVED] : [UNRESOLVED];
    const rows = await source.rows(
      `SELECT DISTINCT tenant FROM ${qualified(control, 'journal')} WHERE tenant IN (${list([tenant, ...others].map(tenantLiteral))})`,
    );
    return rows.map((row) => row['tenant']!);
  }

  #line(tenant: string): Line {
    const line = this.#lines.get(tenant) ?? this.#newLine(tenant);
    this.#lines.delete(tenant);
    this.#lines.set(tenant, line);
    return line;
  }

  #newLine(tenant: string): Line {
    if (this.#lines.size >= LINES_MAX) this.#forgetOldest();
    const line: Line = {
      seen: this.#hasForgotten ? 1 : 0,
      covered: 0,
      isQuick: true,
      probeAt: 0,
      drain: new Coalesced(() => this.#drain(tenant, line)),
    };
    return line;
  }

  #forgetOldest(): void {
    const [[tenant, line]] = this.#lines as unknown as [[string, Line]];
    this.#lines.delete(tenant);
    if (line.covered >= line.seen) return;
    this.#hasForgotten = true;
    this.#stats.forgotten += 1;
  }
}

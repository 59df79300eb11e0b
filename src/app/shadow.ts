/**
 * Shadow reads: a sample of reads runs again on the other side, off the request path, and the answers are
 * compared. Nothing here is awaited by a request, and a full queue or an ill target only costs samples.
 * What differs is looked at again where nothing moves (`shadow-verdict.ts`) before it is counted.
 */
import { createHash } from 'node:crypto';

import { bulkhead, BulkheadRejectedError } from 'cockatiel';

import { canonical } from './canonical.ts';
import { compare, isDiffering, type Comparison } from './comparator.ts';
import { DeadlineError } from './errors.ts';
import type { Guard } from './guard.ts';
import type { ReadFunction } from './handle.ts';
import { observe } from './histogram.ts';
import type { Notices } from './notices.ts';
import { shadowSlots, type Settings } from './options.ts';
import type { ApplicationPool } from './pool.ts';
import type { ReplicaLink } from './replica.ts';
import type { ShadowLedger } from './shadow-ledger.ts';
import { clocked, outcomeOf, overheard } from './shadow-look.ts';
import { Repeats, Transcript } from './shadow-repeats.ts';
import { decide } from './shadow-verdict.ts';
import type { Stats } from './stats.ts';
import type { Telemetry } from './telemetry.ts';
import type { Milliseconds } from '../domain/duration.ts';
import { slowerBy } from '../domain/shadow.ts';
import type { Side } from '../domain/stage.ts';

const QUEUE = 100;
const VERDICTS_QUEUE = 50;
/** A longer answer costs more to keep than it proves. */
const ANSWER_MAX = 256 * 1024;
/** More are not even written down: that alone would hold other requests up. */
const ROWS_MAX = 5_000;

/** A read whose answer was just given to its caller. */
export interface Sample {
  readonly tenant: string;
  readonly name: string;
  readonly fn: ReadFunction<unknown>;
  readonly value: unknown;
  readonly transcript: Transcript;
  readonly tookMs: Milliseconds;
  /** The side to read again. */
  readonly side: Side;
}

interface Asked extends Omit<Sample, 'value' | 'transcript'> {
  /** Canonical text: the caller may change the object that it got. */
  readonly answer: string;
  /** Of what was asked and answered, for `Repeats`. */
  readonly digest: string | null;
}

interface Look {
  readonly answer: string;
  readonly tookMs: Milliseconds;
  /** With their values in place. */
  readonly statements: readonly string[];
  readonly digest: string | null;
}

export interface ShadowParts {
  readonly settings: Settings;
  readonly pools: Readonly<Record<Side, ApplicationPool>>;
  /** Of target reads, those of requests included. */
  readonly guard: Guard;
  readonly link: ReplicaLink;
  readonly ledger: ShadowLedger;
  readonly stats: Stats['shadow'];
  readonly telemetry: Telemetry;
  readonly notices: Notices;
}

export class ShadowReader {
  readonly #parts: ShadowParts;
  readonly #slots: number;
  readonly #reads;
  readonly #verdicts = bulkhead(1, VERDICTS_QUEUE);
  readonly #repeats = new Repeats();
  /** Differences that are being looked at, by tenant, name and statements. */
  readonly #underWay = new Set<string>();
  #isClosed = false;

  constructor(parts: ShadowParts) {
    this.#parts = parts;
    this.#slots = shadowSlots(parts.settings);
    this.#reads = bulkhead(this.#slots, QUEUE);
  }

  /** A read that might be offered: those that are not say how many of all were compared. */
  saw(tenant: string, name: string): void {
    if (!this.#isClosed) this.#parts.ledger.saw(tenant, name);
  }

  /** Returns at once. */
  offer({ value, transcript, ...sample }: Sample): void {
    if (!this.#hasRoom() || isLong(value)) return this.#drop();
    const answer = canonical(value);
    if (answer.length > ANSWER_MAX) return this.#drop();
    const asked = { ...sample, answer, digest: transcript.digest(sample.tenant, sample.name, answer) };
    if (asked.digest === null || !this.#repeats.has(asked.digest)) return void this.#compareSoon(asked);
    this.#parts.stats.repeated += 1;
    this.#count(asked, 'equal');
  }

  close(): void {
    this.#isClosed = true;
  }

  #hasRoom(): boolean {
    return !this.#isClosed && this.#slots > 0 && this.#reads.executionSlots + this.#reads.queueSlots > 0;
  }

  #drop(): void {
    this.#parts.stats.dropped += 1;
  }

  async #compareSoon(asked: Asked): Promise<void> {
    let other: Look;
    try {
      other = await this.#reads.execute(() => this.#look(asked, asked.side));
    } catch {
      return this.#drop(); // queue full, breaker open, or the side is ill: nothing was learnt
    }
    this.#measure(asked, other.tookMs);
    const seen = this.#compare(asked, other);
    if (isDiffering(seen)) return this.#decide(asked, other);
    if (asked.digest !== null && asked.digest === other.digest) this.#repeats.add(asked.digest);
    this.#count(asked, seen);
  }

  async #look(asked: Asked, side: Side): Promise<Look> {
    const { pools, guard, settings, telemetry } = this.#parts;
    if (this.#isClosed) throw new Error('closed');
    const statements: string[] = [];
    const transcript = new Transcript();
    const fn = overheard(asked.fn, (statement) => void statements.push(statement));
    const clock = clocked(transcript.by(fn));
    const { targetReadMs: deadlineMs } = settings;
    const { tenant, name } = asked;
    const ask = () => pools[side].read(tenant, clock.fn, { deadlineMs });
    const read = () => outcomeOf(() => telemetry.operation({ tenant, name, side, purpose: 'shadow' }, ask));
    try {
      const answer = await (side === 'target' ? guard.aside(read) : read());
      const digest = transcript.digest(tenant, name, answer);
      return { answer, tookMs: clock.tookMs() ?? 0, statements, digest };
    } catch (error) {
      // Given up while it ran: as slow as that, at least.
      if (error instanceof DeadlineError && clock.hasBegun()) this.#measure(asked, deadlineMs);
      throw error;
    }
  }

  #measure({ tenant, name, side, tookMs }: Asked, otherMs: Milliseconds): void {
    const { stats, ledger } = this.#parts;
    const [sourceMs, targetMs] = side === 'target' ? [tookMs, otherMs] : [otherMs, tookMs];
    observe(stats.latency.source, sourceMs);
    observe(stats.latency.target, targetMs);
    const byMs = slowerBy(sourceMs, targetMs);
    if (byMs === null) return;
    stats.classes.slower += 1;
    ledger.slower(tenant, name, byMs);
  }

  #compare({ name, answer, side }: Asked, other: Look): Comparison {
    const [source, target] = side === 'target' ? [answer, other.answer] : [other.answer, answer];
    return compare(source, target, this.#parts.settings.reads[name]?.compare);
  }

  /** The same question that differs again while it is looked at is the same difference. */
  async #decide(asked: Asked, { statements }: Look): Promise<void> {
    const { stats, settings, link } = this.#parts;
    const question = createHash('sha256').update(statements.join('\0')).digest('base64');
    const key = `${asked.tenant}\0${asked.name}\0${question}`;
    if (this.#underWay.has(key)) {
      stats.joined += 1;
      return;
    }
    this.#underWay.add(key);
    const suspect = {
      tenant: asked.tenant,
      fn: asked.fn,
      rule: settings.reads[asked.name]?.compare,
      look: async (side: Side) => (await this.#look(asked, side)).answer,
    };
    try {
      const parts = { settings, link, isClosed: () => this.#isClosed };
      const decided = await this.#verdicts.execute(() => decide(parts, suspect));
      if (decided === null) stats.undecided += 1;
      else this.#count(asked, decided);
    } catch (error) {
      if (error instanceof BulkheadRejectedError) this.#drop();
      else stats.undecided += 1; // a side went away
    } finally {
      this.#underWay.delete(key);
    }
  }

  #count({ tenant, name, side }: Asked, comparison: Comparison): void {
    const { stats, ledger, notices } = this.#parts;
    const difference = comparison === 'equal' || comparison === 'reordered' ? null : comparison;
    stats.samples += 1;
    if (comparison === 'reordered') stats.reordered += 1;
    if (difference !== null) {
      stats.differing += 1;
      stats.classes[difference] += 1;
      notices.warn('a shadow read differs', { tenant, read: name, side, reason: difference });
    }
    if (!ledger.compared(tenant, name, difference)) this.#drop();
  }
}

/** Rows, or the driver's `[rows, fields]`. */
function isLong(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  const [first] = value as unknown[];
  return value.length > ROWS_MAX || (Array.isArray(first) && first.length > ROWS_MAX);
}

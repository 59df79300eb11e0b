/**
 * Redis as the read buffer sees it: versions, values under them, and nobody at all while it is slow or gone.
 *
 * A value counts only while the two versions that stand before it, everybody's and its tenant's, are the current
 * ones. They were read before its load began, so a load that an invalidation overtakes stores what no reader
 * takes. Versions are drawn, not counted: a Redis that comes back empty repeats none.
 *
 * Redis' own clock says how old a value is, from before its load: a command that hangs for long stores nothing.
 */
import { randomBytes } from 'node:crypto';

import { BrokenCircuitError, circuitBreaker, CircuitState, ConsecutiveBreaker, handleAll } from 'cockatiel';
import { Redis } from 'ioredis';

import { SECOND, type Milliseconds } from '../domain/duration.ts';

const FAILURES = 3;
/** Commands under way; more than that pass Redis by, or a hanging one would gather them all. */
const IN_FLIGHT_MAX = 2_000;
/** A version that expires makes its tenant's values miss once. */
const VERSION_LIFE: Milliseconds = 86_400 * SECOND;

const BEGIN = `
local function version(key)
  local found = redis.call('GET', key)
  if found then return found end
  redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
  return ARGV[1]
end
local now = redis.call('TIME')
return {version(KEYS[1]), version(KEYS[2]), now[1] * 1000 + math.floor(now[2] / 1000)}`;

const STORE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 3, 4 do
  local left = tonumber(ARGV[i + 1]) - now
  if left > 0 then redis.call('SET', KEYS[i], ARGV[3], 'PX', left) end
end
return 1`;

interface Scripted extends Redis {
  bufferBegin(all: string, own: string, fresh: string, lifeMs: number): Promise<[string, string, number]>;
  bufferStore(...keysAndValues: (string | number)[]): Promise<number>;
}

/** Where one value stands. */
export interface Place {
  readonly tenant: string;
  /** Of the value, below its tenant. */
  readonly key: string;
}

export interface Begun {
  /** Stands before each value that is stored under it. */
  readonly version: string;
  /** Redis' time. */
  readonly at: Milliseconds;
}

export interface Stored {
  readonly text: string;
  readonly begun: Begun;
  readonly ttl: Milliseconds;
  /** From the same moment as `ttl`; 0: no copy for bad times. */
  readonly staleFor: Milliseconds;
}

export class BufferRedis {
  readonly #redis: Scripted;
  readonly #prefix: string;
  readonly #all: string;
  readonly #breaker = circuitBreaker(handleAll, {
    halfOpenAfter: SECOND,
    breaker: new ConsecutiveBreaker(FAILURES),
  });
  readonly #draw = randomBytes(9).toString('base64url');
  #drawn = 0;
  #inFlight = 0;
  #isFailing = false;

  /** @param answerMs a command that takes longer has failed */
  constructor(url: string, control: string, answerMs: Milliseconds) {
    this.#prefix = `switchback:${control}:buffer:`;
    this.#all = `${this.#prefix}version`;
    this.#redis = new Redis(url, {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: answerMs,
      connectTimeout: 2 * SECOND,
      retryStrategy: (attempt) => Math.min(100 * attempt, SECOND),
      scripts: { bufferBegin: { lua: BEGIN, numberOfKeys: 2 }, bufferStore: { lua: STORE, numberOfKeys: 4 } },
    }) as Scripted;
    this.#redis.on('error', () => {}); // told by the commands
  }

  /** Called each time that Redis can be reached again. */
  onReady(ready: () => void): void {
    this.#redis.on('ready', ready);
  }

  /** @returns the JSON of a value whose versions stand; null: there is none */
  get(place: Place): Promise<string | null> {
    return this.#read(place, this.#valueKey(place));
  }

  /** As `get`, of a value that is past its `ttl`: still one that no known write overtook. */
  getStale(place: Place): Promise<string | null> {
    return this.#read(place, this.#staleKey(place));
  }

  /** Before a load. */
  async begin(tenant: string): Promise<Begun> {
    const [all, own, at] = await this.#run((redis) =>
      redis.bufferBegin(this.#all, this.#own(tenant), this.#fresh(), VERSION_LIFE),
    );
    return { version: `${all} ${own} `, at };
  }

  /** Unless a version has moved since `begun`. */
  async store(place: Place, { text, begun, ttl, staleFor }: Stored): Promise<void> {
    const [all = '', own = ''] = begun.version.split(' ');
    const keys = [this.#all, this.#own(place.tenant), this.#valueKey(place), this.#staleKey(place)];
    const ends = [begun.at + ttl, staleFor === 0 ? 0 : begun.at + staleFor];
    await this.#run((redis) => redis.bufferStore(...keys, all, own, begun.version + text, ...ends));
  }

  /** @param tenants null: everybody's values */
  async invalidate(tenants: readonly string[] | null): Promise<void> {
    const keys = tenants === null ? [this.#all] : tenants.map((tenant) => this.#own(tenant));
    await this.#run((redis) =>
      Promise.all(keys.map((key) => redis.set(key, this.#fresh(), 'PX', VERSION_LIFE))),
    );
  }

  close(): void {
    this.#redis.disconnect();
  }

  async #read({ tenant }: Place, key: string): Promise<string | null> {
    const [all, own, value] = await this.#run((redis) => redis.mget(this.#all, this.#own(tenant), key));
    if (!all || !own || !value) return null;
    const version = `${all} ${own} `;
    return value.startsWith(version) ? value.slice(version.length) : null;
  }

  /** @throws at once while Redis keeps failing */
  async #run<T>(command: (redis: Scripted) => Promise<T>): Promise<T> {
    // While the one probe is out, cockatiel would let everybody else wait for it.
    const isProbed = this.#breaker.state === CircuitState.HalfOpen;
    if (isProbed || this.#inFlight >= IN_FLIGHT_MAX || this.#redis.status !== 'ready')
      throw new BrokenCircuitError();
    this.#inFlight += 1;
    try {
      if (this.#breaker.state === CircuitState.Open)
        return await this.#breaker.execute(() => command(this.#redis));
      const answer = await command(this.#redis);
      if (this.#isFailing) this.#tellBreaker(null);
      return answer;
    } catch (error) {
      if (!(error instanceof BrokenCircuitError)) this.#tellBreaker(error as Error);
      throw error;
    } finally {
      this.#inFlight -= 1;
    }
  }

  /** While all is well the breaker is not asked: its promises cost a fifth of a hit. */
  #tellBreaker(error: Error | null): void {
    this.#isFailing = error !== null;
    const outcome = () => (error === null ? Promise.resolve() : Promise.reject(error));
    void this.#breaker.execute(outcome).catch(() => {}); // told to the caller
  }

  #own(tenant: string): string {
    return `${this.#all}:${tenant}`;
  }

  #valueKey({ tenant, key }: Place): string {
    return `${this.#prefix}value:${encodeURIComponent(tenant)}:${key}`;
  }

  #staleKey({ tenant, key }: Place): string {
    return `${this.#prefix}stale:${encodeURIComponent(tenant)}:${key}`;
  }

  #fresh(): string {
    this.#drawn += 1;
    return `${this.#draw}${this.#drawn.toString(36)}`;
  }
}

/**
 * Tells the read buffers, in whichever process, that a tenant's rows have changed. Never fails and never waits
 * longer than Redis may take. What could not be told is told when Redis is back; until then this process passes
 * that tenant's buffer by, and elsewhere a value's `ttl` is the bound.
 */
import { BufferRedis } from './buffer-redis.ts';
import { SECOND, type Milliseconds } from '../domain/duration.ts';
import { SHARED, UNRESOLVED } from '../domain/stage.ts';

/** Tenants that are remembered one by one; beyond that it is everybody. */
const UNTOLD_MAX = 1_000;
const EVERYBODY = SHARED;

export class Invalidations {
  readonly redis: BufferRedis;
  readonly #retry: NodeJS.Timeout;
  /** By the number of the last failure: one that came while it was told again counts on. */
  readonly #untold = new Map<string, number>();
  #failures = 0;
  #isTelling = false;

  constructor(url: string, control: string, answerMs: Milliseconds) {
    this.redis = new BufferRedis(url, control, answerMs);
    this.redis.onReady(() => void this.#tellAgain());
    this.#retry = setInterval(() => void this.#tellAgain(), SECOND).unref();
  }

  /** A row that all share, or of nobody known, may be in anybody's values. */
  async changed(tenants: readonly string[]): Promise<void> {
    const isAnybodys = tenants.some((tenant) => tenant === SHARED || tenant === UNRESOLVED);
    const whom = isAnybodys || tenants.length > UNTOLD_MAX ? [EVERYBODY] : tenants;
    if (whom.length > 0 && !(await this.#tell(whom))) this.#remember(whom);
  }

  /** Was there a change of the tenant that Redis has not been told of? */
  isUntold(tenant: string): boolean {
    return this.#untold.size > 0 && (this.#untold.has(EVERYBODY) || this.#untold.has(tenant));
  }

  close(): void {
    clearInterval(this.#retry);
    this.redis.close();
  }

  #tell(whom: readonly string[]): Promise<boolean> {
    return this.redis.invalidate(whom.includes(EVERYBODY) ? null : whom).then(
      () => true,
      () => false,
    );
  }

  #remember(whom: readonly string[]): void {
    this.#failures += 1;
    for (const each of whom) this.#untold.set(each, this.#failures);
    if (this.#untold.size <= UNTOLD_MAX) return;
    this.#untold.clear();
    this.#untold.set(EVERYBODY, this.#failures);
  }

  async #tellAgain(): Promise<void> {
    if (this.#isTelling || this.#untold.size === 0) return;
    this.#isTelling = true;
    const upTo = this.#failures;
    const isTold = await this.#tell([...this.#untold.keys()]);
    this.#isTelling = false;
    if (!isTold) return;
    for (const [each, failure] of this.#untold) if (failure <= upTo) this.#untold.delete(each);
  }
}

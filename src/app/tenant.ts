/** What an application does with one tenant. */
import type { Milliseconds } from '../domain/duration.ts';
import type { Stage } from '../domain/stage.ts';
import type { Bounds } from './bounded.ts';
import type { ReadFunction, WriteFunction } from './handle.ts';
import type { Reads } from './reads.ts';
import { tokenFor, type Token } from './token.ts';
import type { Writes } from './writes.ts';

export interface ReadOptions extends Bounds {
  /** Of the whole read, fallback included; then `DeadlineError`. None: only the target's own bound. */
  readonly deadlineMs?: Milliseconds | undefined;
  /** Token of a write, of any process: the read sees that write, and waits within `catchUpMs` or uses the source. */
  readonly after?: Token | string | undefined;
}

export interface WriteOptions extends Bounds {
  /** Until the commit, waiting for a connection included; then `DeadlineError`, and the server rolls back. */
  readonly deadlineMs?: Milliseconds | undefined;
}

export interface Written<T> {
  /** What the function returned. */
  readonly value: T;
  /** For `read(…, { after: token })`, in whichever process. Text that may go to a browser and back. */
  readonly token: Token;
}

export interface TenantRouter {
  /**
   * Runs `fn` in a read-only session of the side that the stage says. Inside a `read` or a `write` it joins that,
   * on its connection. `fn` may run a second time, on the source, when the target fails it, and once more for
   * a shadow read: it must do nothing but read.
   *
   * @param name of the kind of read, at most 128 characters; its options and its shadow reads go by it
   * @throws what `fn` throws; the driver's errors of the source; DeadlineError; the signal's reason
   */
  read<T>(name: string, fn: ReadFunction<T>, options?: ReadOptions): Promise<T>;
  /**
   * One transaction on the authority; inside a `write` it joins that. Never run twice. Once it is committed nothing
   * fails it any more; from `read-target` on it waits for its mirror, within `mirrorBudgetMs`. Capture `application`:
   * nothing is mirrored here, the application writes the target itself after this returned.
   *
   * @throws what `fn` throws, and the driver's errors: rolled back
   * @throws WriteHeldError while the authority moves: nothing was sent, try again after `retryAfterMs`
   * @throws CommitUnknownError when the answer to COMMIT was lost
   * @throws DeadlineError, or the signal's reason: rolled back
   */
  write<T>(fn: WriteFunction<T>, options?: WriteOptions): Promise<Written<T>>;
  /** Of everything committed so far: a read with it, in any process, is no older than any read before. */
  token(): Token;
  /** What this node obeys for the tenant now. */
  readonly stage: Stage;
}

/** One is made for each request: no literal with a getter in it, which takes 20 times as long. */
export class BoundTenant implements TenantRouter {
  readonly read: TenantRouter['read'];
  readonly write: TenantRouter['write'];
  readonly token: TenantRouter['token'];
  readonly #id: string;
  readonly #stageOf: (id: string) => Stage;

  constructor(id: string, reads: Reads, writes: Writes, stageOf: (id: string) => Stage) {
    this.#id = id;
    this.#stageOf = stageOf;
    this.read = (name, fn, options = {}) => reads.read(id, name, fn, options);
    this.write = (fn, options = {}) => writes.write(id, fn, options);
    this.token = () => tokenFor(id, false);
  }

  get stage(): Stage {
    return this.#stageOf(this.#id);
  }
}

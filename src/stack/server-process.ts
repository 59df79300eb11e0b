/** One server program of ours: started in its own group, watched by the guard, killed and started again at will. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServerStartError } from './errors.ts';
import { untilFrozen } from './frozen.ts';
import { guard } from './guard.ts';
import type { RunFolder } from './run-folder.ts';
import type { Server } from './servers.ts';

export interface ServerProgram {
  /** In messages: "the target MySQL". */
  readonly title: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly folder: RunFolder;
  /** False or a rejection means "not yet". */
  readonly isUp: () => Promise<boolean>;
}

const POLL_MS = 50;
/** Loaded machines are slow, hung servers are rare. */
const START_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 20_000;
const LOG_LINES = 15;

export class ServerProcess implements Server {
  readonly #program: ServerProgram;
  #child: ChildProcess | null = null;
  #pid = 0;
  #release: () => void = () => {};

  constructor(program: ServerProgram) {
    this.#program = program;
  }

  /** The last one, when the server is down. */
  get pid(): number {
    return this.#pid;
  }

  get folder(): string {
    return this.#program.folder.path;
  }

  get #logFile(): string {
    return join(this.#program.folder.path, 'server.log');
  }

  async start(): Promise<void> {
    const { title, command, args } = this.#program;
    if (this.#child !== null) throw new ServerStartError(`${title} is running already (pid ${this.pid}).`);
    const log = openSync(this.#logFile, 'a');
    const child = spawn(command, args, { detached: true, stdio: ['ignore', log, log] });
    closeSync(log);
    if (child.pid !== undefined) {
      this.#pid = child.pid;
      this.#release = guard().process(child.pid);
    }
    this.#child = child;
    let failure: Error | null = null;
    child.once('error', (error) => {
      failure = error;
    });
    child.once('exit', () => {
      this.#child = null;
      this.#release();
    });
    // The guard ends it; until then it must not keep a finished program alive.
    child.unref();

    const deadline = Date.now() + START_LIMIT_MS;
    while (!(await this.#program.isUp().catch(() => false))) {
      if (failure !== null || this.#child === null) {
        this.#child = null;
        throw new ServerStartError(`${title} did not start.\n${this.#logTail()}`, { cause: failure });
      }
      if (Date.now() > deadline) {
        await this.kill('SIGKILL');
        throw new ServerStartError(
          `${title} did not answer within ${START_LIMIT_MS / 1000} s.\n${this.#logTail()}`,
        );
      }
      await sleep(POLL_MS);
    }
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    child.ref();
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill(signal);
    child.kill('SIGCONT'); // a frozen process would keep the signal pending
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
    await gone;
    clearTimeout(late);
  }

  async freeze(): Promise<void> {
    if (this.#child?.kill('SIGSTOP') === true) await untilFrozen(this.#pid);
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Stops the server for good. Temporary files need no orderly shutdown; kept ones get it. */
  async stop(): Promise<void> {
    await this.kill(this.#program.folder.isTemporary ? 'SIGKILL' : 'SIGTERM');
    await this.#program.folder.remove();
  }

  /** The server outlives this program. */
  leave(): void {
    this.#release();
    this.#program.folder.keep();
  }

  #logTail(): string {
    const tail = readFileSync(this.#logFile, 'utf8').trimEnd().split('\n').slice(-LOG_LINES).join('\n');
    return tail === '' ? `Its log (${this.#logFile}) is empty.` : tail;
  }
}

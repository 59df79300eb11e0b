/** What a handler works with. Everything is opened when it is first asked for, and closed at the end. */
import { userInfo } from 'node:os';
import { createInterface } from 'node:readline/promises';

import type { Temporal } from '../connect.ts';
import { tenantWorkflowId } from '../domain/ids.ts';
import type { Plan } from '../domain/plan.ts';
import { SHARED } from '../domain/stage.ts';
import type { Pair } from '../db/tracked.ts';
import { CliFailure, HERE } from './exit.ts';
import type { Input } from './input.ts';
import { oneLine, quoted, type Terminal } from './terminal.ts';

export interface Who {
  readonly actor: string;
  readonly reason: string;
}

/** The words as they stand on the command line, and the command that they name. */
export interface Typed {
  readonly command: string;
  readonly argv: readonly string[];
}

type Env = Readonly<Record<string, string | undefined>>;

const REASON_MAX = 1_000;
export const TEMPORAL_WAIT = 3_000;

export class Context {
  readonly terminal: Terminal;
  readonly env: Env;
  /** Ends with Ctrl-C: what watches, waits or works stops. */
  readonly stopping = new AbortController();
  readonly #input: Input;
  readonly #typed: Typed;
  readonly #closers: (() => Promise<void> | void)[] = [];
  #plan: Promise<Plan> | null = null;
  #pair: Promise<Pair> | null = null;
  #temporal: Promise<Temporal> | null = null;
  #who: Promise<Who> | null = null;
  /** Addresses without users, by the side that a database names in its faults. */
  readonly addresses = new Map<string, { readonly address: string; readonly variable: string }>();

  constructor(terminal: Terminal, env: Env, typed: Typed, input: Input) {
    this.terminal = terminal;
    this.env = env;
    this.#typed = typed;
    this.#input = input;
  }

  get planFile(): string {
    const fromEnv = this.env['SWITCHBACK_PLAN'] ?? '';
    return this.#input.text('plan') ?? (fromEnv === '' ? './switchback.yaml' : fromEnv);
  }

  plan(): Promise<Plan> {
    this.#plan ??= import('../plan.ts').then(({ loadPlan }) => loadPlan(this.planFile));
    return this.#plan;
  }

  pair(): Promise<Pair> {
    this.#pair ??= this.#openPair();
    return this.#pair;
  }

  async #openPair(): Promise<Pair> {
    const [plan, { openPair, closePair }, { resolveUrls, withRedisIfSet }] = await Promise.all([
      this.plan(),
      import('../connect.ts'),
      import('../plan.ts'),
    ]);
    // All of them, so that every missing variable is said at once.
    resolveUrls(withRedisIfSet(plan, this.env), this.env);
    const pair = openPair(plan, this.env, { connections: 8 });
    this.#closers.push(() => closePair(pair));
    for (const side of ['source', 'target'] as const) {
      this.addresses.set(side, { address: pair[side].address, variable: plan[side].urlEnv });
    }
    return pair;
  }

  temporal(): Promise<Temporal> {
    this.#temporal ??= this.#openTemporal();
    return this.#temporal;
  }

  async #openTemporal(): Promise<Temporal> {
    const plan = await this.plan();
    const [{ openTemporal }, { loadClientConnectConfig }] = await Promise.all([
      import('../connect.ts'),
      import('@temporalio/envconfig'),
    ]);
    const address = loadClientConnectConfig().connectionOptions.address ?? 'localhost:7233';
    if (!/^\S+:\d+$/.test(address))
      throw new CliFailure(
        'usage',
        `TEMPORAL_ADDRESS ${quoted(oneLine(address))} is no address; give host:port`,
      );
    this.addresses.set('temporal', { address, variable: 'TEMPORAL_ADDRESS' });
    try {
      const temporal = await openTemporal(plan, TEMPORAL_WAIT);
      this.#closers.push(() => temporal.close());
      return temporal;
    } catch {
      // The driver's error names channels and stacks; the address is what helps.
      throw this.temporalUnreachable();
    }
  }

  temporalUnreachable(): CliFailure {
    const address = this.addresses.get('temporal')?.address ?? 'localhost:7233';
    const message = `Temporal at ${address} cannot be reached; start it, or set TEMPORAL_ADDRESS ${HERE}`;
    const next =
      this.#typed.command === 'rollback'
        ? [this.line('rollback', '--direct', ...this.#input.words, '--reason "..."')]
        : [];
    return new CliFailure('unreachable', message, { next });
  }

  closeLater(close: () => Promise<void> | void): void {
    this.#closers.push(close);
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#closers.map(async (close) => close()));
  }

  /** Is this a tenant of the plan? The shared tables are one too. */
  async tenant(name: string): Promise<string> {
    const plan = await this.plan();
    const known = tenantsOf(plan);
    if (known.includes(name)) return name;
    const { nearest } = await import('../domain/nearest.ts');
    const near = nearest(name, known);
    const hint = near === null ? `it has ${some(known)}` : `did you mean ${near}?`;
    throw new CliFailure('not-found', `the plan ${plan.name} has no tenant ${oneLine(name)}; ${hint}`);
  }

  async workflowId(tenant: string): Promise<string> {
    return tenantWorkflowId((await this.plan()).name, tenant);
  }

  /** Who changes something, and why: kept in the audit. Asked for on a terminal, once. */
  who(): Promise<Who> {
    this.#who ??= this.#askWho();
    return this.#who;
  }

  async #askWho(): Promise<Who> {
    const reason = this.#input.text('reason') ?? (await this.#askReason());
    if (reason.trim() === '')
      throw new CliFailure('usage', `${this.#typed.command} needs --reason "..."; it is kept in the audit`);
    if (reason.length > REASON_MAX)
      throw new CliFailure('usage', `--reason is longer than ${REASON_MAX} characters; shorten it`);
    return { actor: this.actor(), reason: oneLine(reason) };
  }

  /** A dry run keeps nothing, so it needs no reason. */
  async #askReason(): Promise<string> {
    if (this.#input.has('dryRun')) return '...';
    return this.terminal.canAsk ? ask('Reason (kept in the audit): ') : '';
  }

  actor(): string {
    const given = this.#input.text('actor');
    if (given?.trim() === '')
      throw new CliFailure('usage', '--actor is empty; give your name, or leave it out');
    const actor = oneLine(given ?? this.env['SWITCHBACK_ACTOR'] ?? '') || osUser();
    if (actor === '')
      throw new CliFailure('usage', 'who are you? give --actor NAME, or set SWITCHBACK_ACTOR');
    return actor.slice(0, 255);
  }

  /** A command to type next, with the plan that this one was given. */
  line(...words: readonly string[]): string {
    const plan = this.#input.text('plan');
    return ['switchback', ...(plan === null ? [] : ['--plan', quoted(plan)]), ...words.map(shown)].join(' ');
  }

  /** The command that was typed, without its dry run. */
  again(): string {
    const words = this.#typed.argv.filter((word) => word !== '--dry-run');
    const reason = this.#input.text('reason') === null ? [REASON] : [];
    const typed = words.map((word) => (/^--[\w-]+$/.test(word) ? word : quoted(word)));
    return ['switchback', ...typed, ...reason].join(' ');
  }

  /** As `line`, for a change. */
  change(...words: readonly string[]): string {
    return this.line(...words, REASON);
  }
}

const REASON = '--reason "..."';
const shown = (word: string): string => (word.startsWith('--') ? word : quoted(word));

export function tenantsOf(plan: Plan): string[] {
  const named = plan.waves.flatMap((wave) => wave.tenants);
  return plan.tables.some((table) => table.tenancy.kind === 'shared') ? [SHARED, ...named] : named;
}

/** Shared tables start with the first tenant. */
export const firstTenant = (plan: Plan): string => plan.waves[0]?.tenants[0] ?? 'TENANT';

const SOME = 5;

export const some = (words: readonly string[]): string => {
  if (words.length === 0) return 'none';
  const rest = words.length - SOME;
  return `${words.slice(0, SOME).map(oneLine).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
};

function osUser(): string {
  try {
    return userInfo().username;
  } catch {
    return ''; // a container's user may have no entry
  }
}

async function ask(question: string): Promise<string> {
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await prompt.question(question);
  } catch (error) {
    if ((error as Error).name !== 'AbortError') throw error;
    throw new CliFailure('interrupted', 'ended before a reason was given; nothing was changed');
  } finally {
    prompt.close();
  }
}

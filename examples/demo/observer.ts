/** Watches the control schema from outside, with a connection of its own: phases, flips, and when the last node followed. */
import { setTimeout as sleep } from 'node:timers/promises';

import { createPool, type Pool } from 'mysql2/promise';

import type { Timed } from './report.ts';

interface Flip extends Timed {
  readonly to: string;
}

export interface Standing {
  readonly phase: string;
  readonly mode: string;
  readonly reason: string;
}

const POLL_MS = 15;

export class Observer {
  readonly flips: Flip[] = [];
  readonly #pool: Pool;
  readonly #control: string;
  readonly #stages = new Map<string, { stage: string; version: number }>();
  #waiting: { tenant: string; to: string; version: number; since: number }[] = [];
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(sourceUrl: string, control = 'switchback') {
    this.#pool = createPool({ uri: sourceUrl, connectionLimit: 3, timezone: 'Z', dateStrings: true });
    this.#control = control;
  }

  start(): void {
    this.#running = this.#watch();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    await this.#pool.end();
  }

  async #rows(sql: string, values: unknown[] = []): Promise<Record<string, string>[]> {
    const [rows] = await this.#pool.query(sql.replaceAll('CONTROL', this.#control), values as string[]);
    return rows as Record<string, string>[];
  }

  async #watch(): Promise<void> {
    while (!this.#stopped) {
      await this.#look().catch(() => {});
      await sleep(POLL_MS);
    }
  }

  async #look(): Promise<void> {
    const stages = await this.#rows(
      'SELECT CAST(tenant AS CHAR) AS tenant, stage, version FROM CONTROL.stage',
    );
    for (const row of stages) {
      const tenant = row['tenant']!;
      const before = this.#stages.get(tenant);
      const now = { stage: row['stage']!, version: Number(row['version']) };
      this.#stages.set(tenant, now);
      if (
        before !== undefined &&
        before.stage !== now.stage &&
        [before.stage, now.stage].includes('read-target')
      ) {
        this.#waiting.push({ tenant, to: now.stage, version: now.version, since: Date.now() });
      }
    }
    if (this.#waiting.length === 0) return;
    const nodes = await this.#rows('SELECT version FROM CONTROL.node WHERE lease_until > NOW(6)');
    this.#waiting = this.#waiting.filter(({ tenant, to, version, since }) => {
      if (nodes.some((node) => Number(node['version']) < version)) return true;
      this.flips.push({ tenant, to, ms: Date.now() - since });
      return false;
    });
  }

  async standing(tenant: string): Promise<Standing> {
    const [row] = await this.#rows('SELECT phase, mode, reason FROM CONTROL.migration WHERE tenant = ?', [
      Buffer.from(tenant) as unknown as string,
    ]).catch(() => []);
    return {
      phase: row?.['phase'] ?? 'not started',
      mode: row?.['mode'] ?? '',
      reason: row?.['reason'] ?? '',
    };
  }

  /** @throws Error with what stands instead when it takes too long */
  async until(
    tenant: string,
    phases: readonly string[],
    modes: readonly string[] = [],
    withinMs = 90_000,
  ): Promise<Standing> {
    const ends = Date.now() + withinMs;
    for (;;) {
      const now = await this.standing(tenant);
      if (phases.includes(now.phase) && (modes.length === 0 || modes.includes(now.mode))) return now;
      if (Date.now() > ends) {
        throw new Error(
          `${tenant} is in ${now.phase} (${now.mode}${now.reason === '' ? '' : `: ${now.reason}`}), not in ${phases.join(' or ')} after ${withinMs / 1_000} s`,
        );
      }
      await sleep(50);
    }
  }

  /** What the drill's certificate says. */
  async drill(tenant: string): Promise<string> {
    const [row] = await this.#rows(
      'SELECT content FROM CONTROL.certificate WHERE tenant = ? ORDER BY id DESC LIMIT 1',
      [Buffer.from(tenant) as unknown as string],
    );
    const { flipMs, flipBackMs, nodes } = JSON.parse(row?.['content'] ?? '{}') as Record<string, number>;
    return `the drill of ${tenant}: reads went to the target (last of ${nodes} nodes after ${flipMs} ms) and back (${flipBackMs} ms); certificate written`;
  }

  async driftFound(): Promise<number> {
    const [row] = await this.#rows("SELECT COUNT(*) AS n FROM CONTROL.drift WHERE class = 'different'");
    return Number(row?.['n'] ?? 0);
  }

  /** Journal rows of all tenants: nothing of an acknowledged write is missing on the target once it is empty. */
  async journalRows(): Promise<number> {
    const [row] = await this.#rows('SELECT COUNT(*) AS n FROM CONTROL.journal');
    return Number(row?.['n'] ?? 0);
  }
}

/** Routers over a small migration, closed with their test; and waiting on a condition with a deadline. */
import { setTimeout as sleep } from 'node:timers/promises';

import { afterEach } from 'vitest';

import { createRouter, type Router, type RouterOptions } from '../../src/app/index.ts';
import { flipStage, type StageRow } from '../../src/db/stages.ts';
import type { Stage } from '../../src/domain/stage.ts';
import { column, shared, useFixture, type Fixture, type PairUrls } from '../support/pair.ts';
import { stackInfo } from '../support/stack.ts';

export const TABLES = [
  `CREATE TABLE messages (id INT AUTO_INCREMENT PRIMARY KEY, tenant_id VARCHAR(64) NOT NULL, body VARCHAR(200) NOT NULL, price DECIMAL(20,4) NOT NULL DEFAULT 0, raw BLOB NULL, KEY (tenant_id, id))`,
  `CREATE TABLE countries (code CHAR(2) PRIMARY KEY, name VARCHAR(50) NOT NULL)`,
];

export interface App {
  readonly fixture: () => Fixture;
  readonly open: (options?: Partial<RouterOptions>) => Promise<Router>;
  /** Changes the stage in the database only, as a flip does while Redis is down. */
  readonly flip: (tenant: string, to: Stage) => Promise<StageRow>;
}

export function useApp(urls: () => PairUrls = stackInfo): App {
  const fixture = useFixture(TABLES, urls);
  const routers: Router[] = [];
  afterEach(async () => {
    await Promise.all(routers.splice(0).map((router) => router.close()));
  });
  return {
    fixture,
    async open(options = {}) {
      const { pair } = fixture();
      const schema = { source: pair.sourceSchema, target: pair.targetSchema };
      const { sourceUrl, targetUrl } = urls();
      const router = await createRouter({
        sourceUrl,
        targetUrl,
        schema,
        control: pair.control,
        service: 'test',
        sampleRate: 0,
        ...options,
      });
      routers.push(router);
      return router;
    },
    flip: (tenant, to) =>
      flipStage(fixture().pair.source, fixture().pair.control, {
        tenant,
        to,
        expectEpoch: null,
        from: ['source-only', 'dual-write', 'shadow-read', 'read-target'],
        actor: 'test',
        reason: 'test',
        requestId: null,
      }),
  };
}

export const plans = { messages: column(), countries: shared };

export const add = (router: Router, tenant: string, body: string): Promise<string> =>
  router.write(tenant, async (handle) => {
    const { insertId } = await handle.execute('INSERT INTO messages (tenant_id, body) VALUES (?, ?)', [
      tenant,
      body,
    ]);
    return insertId;
  });

export const bodies = (router: Router, tenant: string): Promise<string[]> =>
  router.read(tenant, 'bodies', async (handle) => {
    const rows = await handle.query<{ body: string }>(
      'SELECT body FROM messages WHERE tenant_id = ? ORDER BY id',
      [tenant],
    );
    return rows.map(({ body }) => body);
  });

/** @returns milliseconds until it held */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 10_000,
): Promise<number> {
  const began = performance.now();
  while (!(await holds())) {
    if (performance.now() - began > withinMs)
      throw new Error(`still not after ${Math.round(withinMs)} ms: ${what}`);
    await sleep(5);
  }
  return performance.now() - began;
}

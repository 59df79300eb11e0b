/** Routers over a small migration, closed with their test; and waiting on a condition with a deadline. */
import { setTimeout as sleep } from 'node:timers/promises';

import type { ResultSetHeader, RowDataPacket } from 'mysql2/promise';
import { afterEach } from 'vitest';

import { createRouter, type ReadOptions, type Router, type RouterOptions } from '../../src/app/index.ts';
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

export function useApp(urls: () => PairUrls = stackInfo, tables: readonly string[] = TABLES): App {
  const fixture = useFixture(tables, urls);
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
        source: sourceUrl,
        target: targetUrl,
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

export const add = async (router: Router, tenant: string, body: string): Promise<string> => {
  const { value } = await router.tenant(tenant).write(async (conn) => {
    const [{ insertId }] = await conn.execute<ResultSetHeader>(
      'INSERT INTO messages (tenant_id, body) VALUES (?, ?)',
      [tenant, body],
    );
    return String(insertId);
  });
  return value;
};

export const bodies = (router: Router, tenant: string, options?: ReadOptions): Promise<string[]> =>
  router.tenant(tenant).read(
    'bodies',
    async (conn) => {
      const [rows] = await conn.query<RowDataPacket[]>(
        'SELECT body FROM messages WHERE tenant_id = ? ORDER BY id',
        [tenant],
      );
      return rows.map((row) => row['body'] as string);
    },
    options,
  );

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

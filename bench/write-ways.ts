/**
 * The ways in which the `write` bench writes one row. All insert the same values, and values that the server computes
 * are none of them.
 */
import { createPool, type Pool } from 'mysql2/promise';

import { createRouter } from '../src/app/index.ts';
import { SCHEMA } from './servers.ts';

/** With triggers, and without. */
export const TRACKED = 'written';
export const PLAIN = 'plain';

export const columnsOf = (table: string): string =>
  `CREATE TABLE ${SCHEMA}.${table} (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, tenant_id VARCHAR(64) NOT NULL, a INT NOT NULL, b VARCHAR(100) NOT NULL,
   c DECIMAL(20,4) NOT NULL, d DATETIME(6) NOT NULL, e TEXT NOT NULL, KEY (tenant_id))`;

const insertInto = (table: string): string =>
  `INSERT INTO ${SCHEMA}.${table} (tenant_id, a, b, c, d, e) VALUES (?, 1, 'text of some length', 12.5, '2026-05-04 12:00:00.5', 'a longer text')`;

export interface Writer {
  readonly write: (tenant: string) => Promise<unknown>;
  /** Writes that were told to the caller before they were on the target. */
  readonly overBudget: () => number;
  readonly close: () => Promise<void>;
}

export interface Ends {
  readonly source: string;
  readonly target: string;
}

export type Way = 'plain' | 'naive' | 'router';

export const WAYS: Readonly<Record<Way, (ends: Ends, connections: number) => Promise<Writer>>> = {
  async plain({ source }, connections) {
    const pool = createPool({ uri: source, connectionLimit: connections });
    const write = (tenant: string) => transaction(pool, tenant);
    return { write, overBudget: () => 0, close: () => pool.end() };
  },

  /** What people write by hand: one side, then the other. The id that the source gave is not even passed on. */
  async naive({ source, target }, connections) {
    const pools = [source, target].map((uri) => createPool({ uri, connectionLimit: connections }));
    return {
      async write(tenant) {
        for (const pool of pools) await transaction(pool, tenant);
      },
      overBudget: () => 0,
      close: async () => void (await Promise.all(pools.map((pool) => pool.end()))),
    };
  },

  async router({ source, target }, connections) {
    const router = await createRouter({
      source,
      target,
      schema: { source: SCHEMA, target: SCHEMA },
      service: 'bench',
      connections,
    });
    return {
      write: (tenant) => router.tenant(tenant).write((conn) => conn.query(insertInto(TRACKED), [tenant])),
      overBudget: () => router.stats().mirror.overBudget,
      close: () => router.close(),
    };
  },
};

async function transaction(pool: Pool, tenant: string): Promise<void> {
  const connection = await pool.getConnection();
  try {
    await connection.query('START TRANSACTION');
    await connection.query(insertInto(PLAIN), [tenant]);
    await connection.query('COMMIT');
  } finally {
    connection.release();
  }
}

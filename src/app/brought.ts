/** The application's own pools: what the router may ask of them, and what it refuses to work with. */
import type { Pool as CallbackPool } from 'mysql2';
import type { Pool } from 'mysql2/promise';

import { isPerTenant } from '../domain/tenant-schema.ts';
import type { Side } from '../domain/stage.ts';

/**
 * A pool that the application has, and goes on using. The router borrows a connection for each read and write, and
 * gives it back as it was; it never ends the pool.
 */
export interface Brought {
  /** For the few connections that follow the stages, mirror and compare: never a request's. */
  readonly url: string;
  /** Of mysql2, with promises or callbacks. Bound its `queueLimit` where the application asks it too. */
  readonly pool: Pool | CallbackPool;
}

/** What mysql2 keeps to itself, and what it would matter for. */
interface Config {
  readonly database?: string | undefined;
  readonly multipleStatements?: boolean | undefined;
}

type Schemas = Readonly<Record<Side, string>>;

/**
 * @returns null: none was brought
 * @throws TypeError
 */
export function takePools(
  given: Readonly<Record<Side, string | Brought>>,
  schemas: Schemas,
): { source: Pool; target: Pool } | null {
  const { source, target } = given;
  if (typeof source === 'string' && typeof target === 'string') return null;
  if (typeof source === 'string' || typeof target === 'string')
    throw new TypeError(
      'source and target: bring a pool for both or for none, or their values would not compare',
    );
  return { source: take('source', source, schemas), target: take('target', target, schemas) };
}

function take(side: Side, { pool }: Brought, schemas: Schemas): Pool {
  const promising = isPromising(pool) ? pool : pool.promise();
  const schema = schemas[side];
  if (isPerTenant(schema))
    throw new TypeError(
      `${side}.pool: schema ${schema} has one for each tenant, and a session would keep the last; give the url alone`,
    );
  const { database, multipleStatements } = configOf(promising);
  if (multipleStatements === true)
    throw new TypeError(
      `${side}.pool: multipleStatements is on, so a statement could end the transaction unseen; bring a pool without it`,
    );
  if (database !== undefined && database !== schema)
    throw new TypeError(
      `${side}.pool: its default schema is ${database}, but schema.${side} says ${schema}; make them the same`,
    );
  return promising;
}

const isPromising = (pool: Brought['pool']): pool is Pool => !('promise' in pool);

const configOf = (pool: Pool): Config =>
  (pool.pool as unknown as { config: { connectionConfig: Config } }).config.connectionConfig;

/** Two real servers with a schema of their own for each test, as the tests of preflight see them. */
import { randomBytes } from 'node:crypto';
import { createConnection } from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach } from 'vitest';

import { Database } from '../../src/db/database.ts';
import { preflight } from '../../src/db/preflight.ts';
import type { Problem } from '../../src/domain/errors.ts';
import type { Plan } from '../../src/domain/plan.ts';
import { parsePlan } from '../../src/plan.ts';
import { stackInfo } from '../support/stack.ts';

export const SUFFIX = randomBytes(4).toString('hex');
export const SCHEMA = `preflight_${SUFFIX}`;
export const CONTROL = `preflight_control_${SUFFIX}`;
export const PASSWORD = 'hunter2';
export const user = (name: string): string => `${name}_${SUFFIX}`;

export let source: Database;
export let target: Database;

export async function asRoot(url: string, statements: readonly string[]): Promise<void> {
  const connection = await createConnection(url);
  try {
    for (const statement of statements) await connection.query(statement);
  } finally {
    await connection.end();
  }
}

export const onSource = (...statements: string[]): Promise<void> =>
  asRoot(stackInfo().sourceRootUrl, statements);
export const onTarget = (...statements: string[]): Promise<void> =>
  asRoot(stackInfo().targetRootUrl, statements);
export const onBoth = async (...statements: string[]): Promise<void> => {
  await onSource(...statements);
  await onTarget(...statements);
};

export const plan = (tables: string, tenants = 'acme, globex', schema = SCHEMA): Plan =>
  parsePlan(
    `name: t
source: { urlEnv: SOURCE, schema: ${schema} }
target: { urlEnv: TARGET, schema: ${schema} }
control: { schema: ${CONTROL} }
tables: ${tables}
waves: [{ name: first, tenants: [${tenants}] }]`,
    'plan.yaml',
  );

export const look = (wanted: Plan): Promise<Problem[]> => preflight(wanted, { source, target });
export const brief = (problems: readonly Problem[]): string[] =>
  problems.map(({ field, value, problem }) => `${field} | ${value} | ${problem}`);
export const remedies = (problems: readonly Problem[]): string[] => problems.map(({ remedy }) => remedy);

export const CUSTOMERS =
  'customers (id BIGINT PRIMARY KEY, tenant_id VARCHAR(40) COLLATE utf8mb4_0900_ai_ci NOT NULL, name TEXT, KEY (tenant_id))';
export const MESSAGES =
  'messages (id BIGINT PRIMARY KEY, tenant_id VARCHAR(40) NOT NULL, created_at DATETIME NOT NULL, KEY by_time (tenant_id, created_at))';
export const DELIVERIES = 'deliveries (id BIGINT PRIMARY KEY, message_id BIGINT NOT NULL, KEY (message_id))';
export const COUNTRIES = "countries (code CHAR(2) PRIMARY KEY, state ENUM('on','off') NOT NULL)";
export const create = (table: string): string => `CREATE TABLE ${SCHEMA}.${table}`;

export const WHOLE = `
  customers: { tenant: { column: tenant_id } }
  messages: { tenant: { column: tenant_id }, time: created_at }
  deliveries: { tenant: { parent: messages, column: message_id } }
  countries: { tenant: shared }`;

export const one = (table: string, rest = ''): string =>
  `{ ${table}: { tenant: { column: tenant_id }${rest} } }`;

beforeAll(() => {
  const { sourceUrl, targetUrl } = stackInfo();
  source = new Database({ side: 'source', url: sourceUrl });
  target = new Database({ side: 'target', url: targetUrl });
});

beforeEach(async () => {
  await onBoth(`DROP DATABASE IF EXISTS ${SCHEMA}`, `CREATE DATABASE ${SCHEMA} CHARACTER SET utf8mb4`);
});

afterAll(async () => {
  await Promise.all([source.close(), target.close()]);
  await onBoth(`DROP DATABASE IF EXISTS ${SCHEMA}`);
  await onSource(`DROP USER IF EXISTS ${user('few')}`, `DROP USER IF EXISTS ${user('enough')}`);
});

/** A source that is MariaDB: the whole line over a schema that only it could have. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { createConnection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { copyTable } from '../../src/db/backfill.ts';
import { lostCapture } from '../../src/db/capture-loss.ts';
import { probeDigest } from '../../src/db/digest.ts';
import { chooseExecutors } from '../../src/db/executors.ts';
import { preflight } from '../../src/db/preflight.ts';
import { reconcileSlice } from '../../src/db/reconcile.ts';
import { createTargetSchema } from '../../src/db/target-schema.ts';
import { judgeHot } from '../../src/db/verdict.ts';
import { formatProblem } from '../../src/domain/errors.ts';
import { parsePlan } from '../../src/plan.ts';
import { startMariadb } from '../../src/stack/mariadb.ts';
import { onPath } from '../../src/stack/programs.ts';
import { switchbackHere, useFolder } from '../cli/switchback.ts';
import { limits } from '../support/limits.ts';
import { child, column, shared, standingTrigger, useFixture } from '../support/pair.ts';
import { stackInfo, urlWithSchema } from '../support/stack.ts';

const LIMITS = limits({ windowRows: 25, reconcileRows: 25 });

const TABLES = [
  `CREATE TABLE customers (id CHAR(36) CHARACTER SET ascii NOT NULL PRIMARY KEY, token UUID NOT NULL, tenant_id VARCHAR(64) NOT NULL, email VARCHAR(190) NOT NULL, balance DOUBLE NOT NULL, seen INET6 NULL,
     KEY (tenant_id, id), UNIQUE KEY email (email), UNIQUE KEY token (token)) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci`,
  `CREATE TABLE messages (tenant_id VARCHAR(64) NOT NULL, id INT AUTO_INCREMENT PRIMARY KEY, customer_id CHAR(36) CHARACTER SET ascii NOT NULL, body TEXT NOT NULL, meta JSON NULL,
     created_at DATETIME(6) NOT NULL, KEY by_time (tenant_id, created_at), FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci`,
  `CREATE TABLE deliveries (id INT AUTO_INCREMENT PRIMARY KEY, message_id INT NOT NULL, status ENUM('sent','failed') NOT NULL, at TIMESTAMP NOT NULL, KEY (message_id)) CHARACTER SET latin1`,
  `CREATE TABLE countries (code CHAR(2) PRIMARY KEY, name VARCHAR(50) NOT NULL) CHARACTER SET utf8mb3`,
];
const NAMES = ['customers', 'messages', 'deliveries', 'countries'];
const PLANNED = `
  customers: { tenant: { column: tenant_id } }
  messages: { tenant: { column: tenant_id }, time: created_at }
  deliveries: { tenant: { parent: messages, column: message_id } }
  countries: { tenant: shared }`;
const uuid = (n: number): string => `00000000-0000-1000-8000-${String(n).padStart(12, '0')}`;

describe.skipIf(onPath('mariadbd').length === 0)('MariaDB to MySQL', () => {
  let url = '';
  let stop = (): Promise<void> => Promise.resolve();
  beforeAll(async () => {
    const server = await startMariadb({ name: 'line' });
    url = server.url();
    stop = () => server.stop();
  });
  afterAll(() => stop());
  const folder = useFolder();
  const fixture = useFixture([], () => ({ sourceUrl: url, targetUrl: stackInfo().targetUrl }));

  const pass = (tenant = 'acme') => {
    const { pair, tracked } = fixture();
    return reconcileSlice(pair, tracked, {
      tenant,
      limits: LIMITS,
      missingAgain: 1_000,
      progress: () => {},
      until: () => false,
    });
  };
  const drift = () =>
    fixture().pair.source.rows(
      `SELECT class, columns_differing AS columns FROM ${fixture().pair.control}.drift WHERE repaired_at IS NULL ORDER BY id`,
    );
  /** Read by nobody's code but the driver's; JSON as a value. */
  const dump = async (side: 'source' | 'target', table: string, where = 'TRUE'): Promise<string[]> => {
    const base = side === 'source' ? url : stackInfo().targetUrl;
    const connection = await createConnection(urlWithSchema(base, fixture().pair.sourceSchema));
    const [rows] = await connection.query({
      sql: `SELECT * FROM ${table} WHERE ${where} ORDER BY 1, 2`,
      dateStrings: true,
    });
    await connection.end();
    return (rows as Record<string, unknown>[]).map((row) =>
      JSON.stringify(
        Object.entries(row).map(([name, value]) => [
          name,
          name === 'meta' && value !== null
            ? Object.entries((typeof value === 'string' ? JSON.parse(value) : value) as object).sort(
                ([a], [b]) => (a < b ? -1 : 1),
              )
            : value,
        ]),
      ),
    );
  };

  const planText = (tables: string): string => {
    const { pair } = fixture();
    return `name: t
source: { urlEnv: SOURCE, schema: ${pair.sourceSchema} }
target: { urlEnv: TARGET, schema: ${pair.targetSchema} }
control: { schema: ${pair.control} }
tables: ${tables}
waves: [{ name: first, tenants: [acme] }]`;
  };
  const planOf = (tables: string) => parsePlan(planText(tables), 'plan.yaml');

  beforeAll(async () => {
    const { pair, sql, install, start } = fixture();
    for (const statement of TABLES) await sql('source', statement);
    const plan = planOf(PLANNED);
    expect((await createTargetSchema(plan, pair)).differences.map(formatProblem)).toEqual([]);
    expect((await preflight(plan, pair)).map(formatProblem)).toEqual([]);
    await install({
      customers: column(),
      messages: { tenancy: column(), time: 'created_at' },
      deliveries: child('messages', 'message_id'),
      countries: shared,
    });
    for (let i = 1; i <= 90; i += 1) {
      const tenant = i % 3 === 0 ? 'beta' : 'acme';
      const meta = `{"n": ${i}, "big": 9007199254740993, "n": ${i / 7}, "t": "\\\\u00e9"}`;
      await sql(
        'source',
        `INSERT INTO customers VALUES ('${uuid(i)}', '${uuid(1000 - i)}', '${tenant}', 'c${i}@x', ${i * 1.74e-5}, '2001:db8::${i}')`,
      );
      await sql(
        'source',
        `INSERT INTO messages (tenant_id, customer_id, body, meta, created_at) VALUES ('${tenant}', '${uuid(i)}', 'hällo 😀 ${i}', '${meta}', '2026-01-01' + INTERVAL ${i} SECOND)`,
      );
      await sql(
        'source',
        `INSERT INTO deliveries (message_id, status, at) VALUES (${i}, 'sent', '2026-10-25 00:30:00')`,
      );
    }
    await sql('source', "INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France')");
    for (const tenant of ['_shared', 'acme']) {
      await start(tenant);
      for (const { id } of fixture().tracked.of(tenant)) {
        const copied = await copyTable(pair, fixture().tracked, {
          tenant,
          round: 1,
          tableId: id,
          limits: LIMITS,
          pace: () => Promise.resolve(0),
          progress: () => {},
          until: () => false,
        });
        expect(copied.finished).toBe(true);
      }
      await fixture().mirror.drain(tenant);
    }
  }, 120_000);

  it('each table gets the executor that its columns need', async () => {
    const { pair, tracked } = fixture();
    await probeDigest(pair.source);
    const tables = NAMES.map((name) => tracked.byName(name).table);
    expect(await chooseExecutors(pair, tables, tables)).toEqual([
      { table: 'customers', executor: 'stream', why: 'balance: the servers print doubles differently' },
      { table: 'messages', executor: 'stream', why: 'meta: the servers print JSON differently' },
      { table: 'deliveries', executor: 'sql', why: null },
      { table: 'countries', executor: 'sql', why: null },
    ]);
  });

  it('plan check says which tables are streamed, for which column, and that the source is MariaDB', async () => {
    const file = join(await folder(), 'switchback.yaml');
    await writeFile(file, planText(PLANNED));
    const env = { SOURCE: url, TARGET: stackInfo().targetUrl, TEMPORAL_ADDRESS: '127.0.0.1:9' };
    const said = await switchbackHere(['plan', 'check', '--plan', file], env);

    expect(said.code, said.all).toBe(0);
    expect(said.stdout).toMatch(/^ {2}source .*, MariaDB 10\.\d+\.\d+/m);
    expect(said.stdout).toContain(`
  digest  in SQL for 2 of 4 tables; rows are streamed and hashed by the worker for
          customers (balance: the servers print doubles differently)
          messages (meta: the servers print JSON differently)
`);
    const { stdout } = await switchbackHere(['plan', 'check', '--json', '--plan', file], env);
    expect((JSON.parse(stdout) as { executors: unknown[] }).executors).toContainEqual({
      table: 'messages',
      executor: 'stream',
      why: 'meta: the servers print JSON differently',
    });
  });

  it('the copy is equal, and a pass says so by both executors', async () => {
    for (const table of ['customers', 'messages'])
      expect(await dump('target', table)).toEqual(await dump('source', table, "tenant_id = 'acme'"));
    expect(await dump('target', 'countries')).toEqual(await dump('source', 'countries'));
    expect((await dump('target', 'deliveries')).length).toBe(60);
    expect(await drift()).toEqual([]);
    const { pass: done } = await pass();
    expect(await drift()).toEqual([]);
    expect(done).toMatchObject({ clean: true, counts: { suspects: 0 } });
    expect((await pass('_shared')).pass.clean).toBe(true);
    const executors = await fixture().pair.source.rows(
      `SELECT DISTINCT executor FROM ${fixture().pair.control}.pass_window ORDER BY executor`,
    );
    expect(executors.map((row) => row['executor'])).toEqual(['sql', 'stream']);
  });

  it('what is in flight is no drift; the mirror brings updates, deletes, cascades and circles of unique values', async () => {
    const { sql, mirror } = fixture();
    await sql('source', `UPDATE customers SET balance = balance * 3 WHERE id = '${uuid(1)}'`);
    await sql('source', `UPDATE messages SET meta = '{"a": 1.0}' WHERE id = 2`);
    await sql('source', `DELETE FROM customers WHERE id = '${uuid(4)}'`);
    await sql('source', `UPDATE customers SET email = 'swap' WHERE id = '${uuid(10)}'`);
    await sql('source', `UPDATE customers SET email = 'c10@x' WHERE id = '${uuid(11)}'`);
    await sql('source', `UPDATE customers SET email = 'c11@x' WHERE id = '${uuid(10)}'`);
    const during = await pass();
    expect(during.pass.counts).toMatchObject({ drifted: 0 });
    await mirror.drain('acme');
    expect(await dump('target', 'messages', 'id = 4')).toEqual([]);
    for (const table of ['customers', 'messages'])
      expect(await dump('target', table)).toEqual(await dump('source', table, "tenant_id = 'acme'"));
    expect((await pass()).pass).toMatchObject({ clean: true, counts: { suspects: 0 } });
  });

  it('drift is found, its columns are named, a missing row is repaired', async () => {
    const { sql } = fixture();
    await sql('target', `UPDATE customers SET balance = balance + 1e-9 WHERE id = '${uuid(1)}'`);
    await sql('target', `UPDATE messages SET meta = '{"a": "1.0"}' WHERE id = 2`);
    await sql('target', 'DELETE FROM messages WHERE id = 5');
    await sql('target', "UPDATE deliveries SET status = 'failed' WHERE message_id = 7");
    const found = await pass();
    expect(found).toMatchObject({ stopped: true, pass: { counts: { drifted: 4, repaired: 1 } } });
    expect(await dump('target', 'messages', 'id = 5')).toEqual(await dump('source', 'messages', 'id = 5'));
    expect((await drift()).map((row) => [row['class'], row['columns']])).toEqual([
      ['different', 'balance'],
      ['different', 'meta'],
      ['different', 'status'],
    ]);
    const { pair, tracked } = fixture();
    for (const [name, key] of Object.entries({
      customers: `72:${Buffer.from(uuid(1)).toString('hex').toUpperCase()}`,
      messages: '1:2',
    })) {
      const [judged] = await judgeHot(pair, tracked, 'acme', tracked.byName(name).id, [key]);
      expect([name, judged?.verdict.kind]).toEqual([name, 'equal']);
    }
  });

  it('a primary key that the servers sort differently is refused', async () => {
    const { pair, sql } = fixture();
    for (const [name, type] of Object.entries({ by_uuid: 'UUID', by_ip: 'INET6' }))
      await sql(
        'source',
        `CREATE TABLE ${name} (id ${type} PRIMARY KEY, tenant_id VARCHAR(9), KEY (tenant_id))`,
      );
    const tables = 'by_uuid: { tenant: { column: tenant_id } }, by_ip: { tenant: { column: tenant_id } }';
    const plan = planOf(`{ ${tables} }`);
    const problems = (await preflight(plan, pair)).filter(({ problem }) => problem.includes('primary key'));
    expect(problems.map(({ field, value }) => [field, value])).toEqual([
      ['tables.by_uuid.id', 'uuid'],
      ['tables.by_ip.id', 'inet6'],
    ]);
  });

  it('a lost trigger is noticed', async () => {
    const { pair, sql } = fixture();
    expect(await lostCapture(pair)).toEqual([]);
    await sql('source', `DROP TRIGGER ${await standingTrigger(fixture(), 'switchback')}`);
    expect(await lostCapture(pair)).toHaveLength(1);
  });
});

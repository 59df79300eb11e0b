/** The type zoo: every column type, every pair of servers, every way of writing, both executors. */
import { createConnection, type Connection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { copyTable } from '../../src/db/backfill.ts';
import { storedColumns } from '../../src/db/catalog.ts';
import { executorOf, forceExecutor } from '../../src/db/executors.ts';
import type { ExecutorName } from '../../src/db/executor.ts';
import { keySql } from '../../src/db/keys.ts';
import { preflight } from '../../src/db/preflight.ts';
import { reconcileSlice } from '../../src/db/reconcile.ts';
import { qualified } from '../../src/db/sql.ts';
import { createTargetSchema } from '../../src/db/target-schema.ts';
import { loadTracked } from '../../src/db/tracked.ts';
import { repairKeys } from '../../src/db/verdict.ts';
import { formatProblem } from '../../src/domain/errors.ts';
import { parsePlan } from '../../src/plan.ts';
import { startMariadb } from '../../src/stack/mariadb.ts';
import { onPath } from '../../src/stack/programs.ts';
import { limits } from '../support/limits.ts';
import { column, useFixture, type PairUrls } from '../support/pair.ts';
import { stackInfo } from '../support/stack.ts';
import { quoted, zooOf, type Server, type Species } from './zoo.ts';

const TABLE = 'order';
const LIMITS = limits({ windowRows: 25, reconcileRows: 25 });

function zoo(
  server: Server,
  urls: () => PairUrls,
  executors: readonly ExecutorName[],
  species = zooOf(server),
): void {
  const fixture = useFixture([], urls);
  const rowOf = (index: number, value: number): number => (index + 1) * 100 + value;
  const count = species.reduce((sum, { values }) => sum + values.length + 1, 0);
  let scratch: Connection | undefined;

  const tableSql = (): string => {
    const columns = species.map(({ name, declared }) => `${quoted(name)} ${declared}`);
    return `CREATE TABLE ${quoted(TABLE)} (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL DEFAULT 'ant', ${columns.join(', ')},
      hidden VARCHAR(20) INVISIBLE DEFAULT 'unseen', made VARCHAR(60) DEFAULT (CONCAT('made ', 'here')),
      virt VARCHAR(300) AS (CONCAT(s0, '!')) VIRTUAL, stored_one DOUBLE AS (d0 * 2e-9) STORED, KEY (tenant_id)) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`;
  };

  /** A session as an application's would be, that may store every odd value; none of the product's code. */
  async function open(url: string, schema: string): Promise<Connection> {
    const connection = await createConnection(url);
    await connection.query("SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES'");
    await connection.query(`USE ${quoted(schema)}`);
    return connection;
  }

  beforeAll(async () => {
    const { pair, install, start } = fixture();
    const source = await open(urls().sourceUrl, pair.sourceSchema);
    await source.query(tableSql());
    const plan = parsePlan(
      `name: t
source: { urlEnv: SOURCE, schema: ${pair.sourceSchema} }
target: { urlEnv: TARGET, schema: ${pair.targetSchema} }
control: { schema: ${pair.control} }
tables: { ${TABLE}: { tenant: { column: tenant_id } } }
waves: [{ name: first, tenants: [ant] }]`,
      'plan.yaml',
    );
    const made = await createTargetSchema(plan, pair);
    expect(made.differences.map(formatProblem)).toEqual([]);
    expect((await preflight(plan, pair)).map(formatProblem)).toEqual([]);
    await install({ [TABLE]: column() });
    await start('ant');
    for (const [index, { name, values }] of species.entries()) {
      for (const [position, value] of [...values, 'NULL'].entries())
        await source.query(
          `INSERT INTO ${quoted(TABLE)} (id, ${quoted(name)}) VALUES (${rowOf(index, position)}, ${value})`,
        );
    }
    await source.end();
    scratch = await open(urls().targetUrl, pair.targetSchema);
    await scratch.query('CREATE TABLE scratch (id INT PRIMARY KEY, js JSON)');
  }, 120_000);
  afterAll(() => scratch?.end());

  const CHECKED: Readonly<Record<NonNullable<Species['as']> | 'text', (value: string) => string>> = {
    text: (value) => `HEX(CONVERT(CONCAT(${value}) USING utf8mb4))`,
    number: (value) => `CONCAT(${value} + 0)`,
    raw: (value) => `HEX(${value})`,
    label: (value) => `CONCAT(HEX(CONVERT(${value} USING utf8mb4)), '#', CAST(${value} AS UNSIGNED))`,
    double: (value) => value,
    float: (value) => `CAST(${value} AS DOUBLE)`,
    json: (value) => value,
  };

  /** What MySQL makes of a JSON text, asked of the server. */
  async function asMysqlHolds(text: string): Promise<string> {
    await scratch!.query('REPLACE INTO scratch VALUES (1, ?)', [text]);
    const [rows] = await scratch!.query("SELECT CONCAT(JSON_TYPE(js), ' ', js) AS js FROM scratch");
    return (rows as { js: string }[])[0]!.js;
  }

  async function seen(kind: Species['as'], text: string | null): Promise<string | null> {
    if (text === null) return null;
    if (kind === 'json') return asMysqlHolds(text);
    if (kind !== 'double' && kind !== 'float') return text;
    const value = kind === 'float' ? Math.fround(Number(text)) : Number(text);
    return Object.is(value, -0) && server === 'mysql' ? '-0' : String(value);
  }

  /** By row and column, as the checker sees it. */
  async function contents(side: 'source' | 'target'): Promise<Record<string, string | null>> {
    const url = side === 'source' ? urls().sourceUrl : urls().targetUrl;
    const connection = await open(url, fixture().pair.sourceSchema);
    const columns: Pick<Species, 'name' | 'as'>[] = [
      ...species,
      ...['hidden', 'made', 'virt'].map((name) => ({ name })),
      { name: 'stored_one', as: 'double' },
    ];
    const list = columns.map(({ name, as }, index) => `${CHECKED[as ?? 'text'](quoted(name))} AS c${index}`);
    const [rows] = await connection.query({
      sql: `SELECT id, ${list.join(', ')} FROM ${quoted(TABLE)} ORDER BY id`,
      typeCast: (field: { string: (encoding: string) => string | null }) => field.string('utf8'),
    } as never);
    await connection.end();
    const found: Record<string, string | null> = {};
    for (const row of rows as Record<string, string | null>[])
      for (const [index, { name, as }] of columns.entries())
        found[`${row['id']} ${name}`] = await seen(as, row[`c${index}`] ?? null);
    return found;
  }

  const emptyTarget = () => fixture().sql('target', `DELETE FROM ${quoted(TABLE)}`);
  const tableId = (): number => fixture().tracked.byName(TABLE).id;

  it('no two values of a column are one value to the source', async () => {
    const found = await contents('source');
    expect(Object.keys(found)).toHaveLength(count * (species.length + 4));
    for (const [index, { name, values }] of species.entries()) {
      const own = [...values, 'NULL'].map((_, position) => found[`${rowOf(index, position)} ${name}`]);
      expect([name, new Set(own).size]).toEqual([name, values.length + 1]);
    }
  });

  it('the mirror carries every value', async () => {
    await fixture().mirror.drain('ant');
    expect(await contents('target')).toEqual(await contents('source'));
  });

  it('the copy carries every value', async () => {
    const { pair, tracked } = fixture();
    await emptyTarget();
    const slice = { tenant: 'ant', round: 1, tableId: tableId(), limits: LIMITS };
    const copied = await copyTable(pair, tracked, {
      ...slice,
      pace: () => Promise.resolve(0),
      progress: () => {},
      until: () => false,
    });
    expect(copied).toMatchObject({ finished: true, copiedRows: count });
    expect(await contents('target')).toEqual(await contents('source'));
  });

  it('repair carries every value', async () => {
    const { pair, tracked } = fixture();
    await emptyTarget();
    const { table } = tracked.source(tableId());
    const keys = await pair.source.rows(
      `SELECT ${keySql(table, 't')} AS k FROM ${qualified(table.schema, table.name)} t`,
    );
    await repairKeys(
      pair,
      tracked,
      'ant',
      tableId(),
      keys.map((row) => row['k']!),
    );
    expect(await contents('target')).toEqual(await contents('source'));
  });

  it.each(executors)('by %s both sides have one digest, and every other value another hash', async (name) => {
    const { pair } = fixture();
    const tracked = await loadTracked(pair);
    if (executors.length > 1) forceExecutor(tracked, name);
    const executor = await executorOf(pair, tracked, tableId());
    expect(executor.name).toBe(name);
    const { pass } = await reconcileSlice(pair, tracked, {
      tenant: 'ant',
      limits: LIMITS,
      missingAgain: 1_000,
      progress: () => {},
      until: () => false,
    });
    const drift = await pair.source.rows(`SELECT row_key, columns_differing FROM ${pair.control}.drift`);
    expect(drift).toEqual([]);
    expect(pass).toMatchObject({ clean: true, counts: { rows: count, suspects: 0 } });
    const windows = await pair.source.rows(
      `SELECT DISTINCT executor FROM ${pair.control}.pass_window WHERE pass_id = ${pass.id}`,
    );
    expect(windows).toEqual([{ executor: name }]);

    for (const side of [tracked.source(tableId()), tracked.target(tableId())]) {
      const rows = await executor.hashes(pair[side.side], side, {
        rows: (select) => `SELECT ${select} FROM ${qualified(side.table.schema, side.table.name)} t`,
        beside: ['t.id'],
        parts: 'columns',
      });
      const byId = new Map(rows.map(({ beside, hashes }) => [Number(beside[0]), hashes]));
      const columns = storedColumns(side.table).map((one) => one.name);
      for (const [index, species_] of species.entries()) {
        const at = columns.indexOf(species_.name);
        const own = [...species_.values, 'NULL'].map((_, position) => byId.get(rowOf(index, position))![at]);
        expect([species_.name, new Set(own).size]).toEqual([species_.name, species_.values.length + 1]);
      }
    }
  });

  if (executors.length === 0) return;
  it('the mirror carries a change from every value to every next one', async () => {
    const { pair } = fixture();
    const source = await open(urls().sourceUrl, pair.sourceSchema);
    for (const [index, { name, values }] of species.entries()) {
      for (const position of values.keys())
        await source.query(
          `UPDATE ${quoted(TABLE)} SET ${quoted(name)} = ${values[(position + 1) % values.length]!} WHERE id = ${rowOf(index, position)}`,
        );
    }
    await source.end();
    await fixture().mirror.drain('ant');
    expect(await contents('target')).toEqual(await contents('source'));
  });
}

describe('MySQL to MySQL', () => zoo('mysql', stackInfo, ['sql', 'stream']));

// A file for LOAD DATA may say its character set where no field of it is bytes.
describe('MySQL to MySQL, a table without bytes', () =>
  zoo(
    'mysql',
    stackInfo,
    [],
    zooOf('mysql').filter(({ as }) => as !== 'raw'),
  ));

describe.skipIf(onPath('mariadbd').length === 0)('MariaDB to MySQL', () => {
  let url = '';
  let stop = (): Promise<void> => Promise.resolve();
  beforeAll(async () => {
    const server = await startMariadb({ name: 'zoo' });
    url = server.url();
    stop = () => server.stop();
  });
  afterAll(() => stop());
  zoo('mariadb', () => ({ sourceUrl: url, targetUrl: stackInfo().targetUrl }), ['stream']);
});

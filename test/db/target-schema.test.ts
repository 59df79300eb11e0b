/** The target's schema made from the source's, between two MySQL servers and, where it is installed, from MariaDB. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { Database } from '../../src/db/database.ts';
import { preflight } from '../../src/db/preflight.ts';
import { adapt, createTargetSchema, planTargetSchema } from '../../src/db/target-schema.ts';
import { formatProblem } from '../../src/domain/errors.ts';
import type { Plan } from '../../src/domain/plan.ts';
import { parsePlan } from '../../src/plan.ts';
import { startMariadb } from '../../src/stack/mariadb.ts';
import { onPath } from '../../src/stack/programs.ts';
import { stackInfo } from '../support/stack.ts';

const SUFFIX = randomBytes(4).toString('hex');
const HERE = `made_source_${SUFFIX}`;
const THERE = `made_target_${SUFFIX}`;

let source: Database;
let target: Database;

function planOf(tables: readonly string[]): Plan {
  const entries = tables.map((name) => `${name}: { tenant: { column: tenant_id } }`).join(', ');
  return parsePlan(
    `name: t
source: { urlEnv: SOURCE, schema: ${HERE} }
target: { urlEnv: TARGET, schema: ${THERE} }
control: { schema: control_${SUFFIX} }
tables: { ${entries} }
waves: [{ name: first, tenants: [acme] }]`,
    'plan.yaml',
  );
}

async function emptySchemas(from: Database): Promise<void> {
  await from.run(`DROP DATABASE IF EXISTS ${HERE}`);
  await from.run(`CREATE DATABASE ${HERE} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci`);
  await target.run(`DROP DATABASE IF EXISTS ${THERE}`);
}

const onSource = async (...statements: string[]): Promise<void> => {
  for (const statement of statements) await source.run(statement);
};

beforeAll(() => {
  const { sourceUrl, targetUrl } = stackInfo();
  source = new Database({ side: 'source', url: sourceUrl });
  target = new Database({ side: 'target', url: targetUrl });
});

afterAll(async () => {
  await source.run(`DROP DATABASE IF EXISTS ${HERE}`);
  await target.run(`DROP DATABASE IF EXISTS ${THERE}`);
  await Promise.all([source.close(), target.close()]);
});

/** A column whose character set is the table's own is printed with it or without. */
const canonical = (sql: string | null | undefined): string =>
  (sql ?? '').replaceAll(' CHARACTER SET utf8mb4', '');

const TENANT = 'tenant_id VARCHAR(40) NOT NULL, KEY by_tenant (tenant_id)';

describe('between two MySQL servers', () => {
  beforeEach(() => emptySchemas(source));

  test('the dry run says what would be created, and creates nothing', async () => {
    await onSource(`CREATE TABLE ${HERE}.t (id INT PRIMARY KEY, ${TENANT})`);

    const planned = await planTargetSchema(planOf(['t']), { source, target });

    expect(planned.schema).toBe(
      `CREATE DATABASE IF NOT EXISTS \`${THERE}\` DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci`,
    );
    expect(planned.create.map(({ table, sql }) => [table, sql.split('\n')[0]])).toEqual([
      ['t', `CREATE TABLE IF NOT EXISTS \`${THERE}\`.\`t\` (`],
    ]);
    expect(planned.differences).toEqual([]);
    expect(await target.rows(`SHOW DATABASES LIKE '${THERE}'`)).toEqual([]);
  });

  test('every table arrives as it is, in any order of foreign keys, and passes preflight', async () => {
    await onSource(
      `CREATE TABLE ${HERE}.parent (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, ${TENANT}) AUTO_INCREMENT=4711 COMMENT='ROW_FORMAT=COMPRESSED, it''s'`,
      `CREATE TABLE ${HERE}.child (id INT PRIMARY KEY, parent_id BIGINT UNSIGNED NOT NULL, boss INT NULL, ${TENANT},
         CONSTRAINT up FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE CASCADE, CONSTRAINT self FOREIGN KEY (boss) REFERENCES child (id))`,
      `CREATE TABLE ${HERE}.everything (
         id INT PRIMARY KEY, e ENUM('a','b ENGINE=x','it''s') NOT NULL DEFAULT 'a', s SET('x','y'), d DECIMAL(20,6) DEFAULT '1.5', at DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
         zero DATETIME NOT NULL DEFAULT '0000-00-00 00:00:00', j JSON, g GEOMETRY, b BIT(9), bin BINARY(16), l1 TEXT CHARACTER SET latin1, up_ INT AS (id * 2) STORED, vi INT AS (id + 1) VIRTUAL,
         hidden INT INVISIBLE, ${TENANT}, UNIQUE KEY u (d, s), KEY prefixed (l1(10)), CHECK (id > 0), FULLTEXT KEY ft (l1))
         ROW_FORMAT=DYNAMIC`,
      `CREATE TABLE ${HERE}.parts (id INT, tenant_id VARCHAR(40) NOT NULL, PRIMARY KEY (id, tenant_id), KEY by_tenant (tenant_id)) PARTITION BY KEY (id) PARTITIONS 3`,
      `CREATE TABLE ${HERE}.\`odd \`\` name (x\` (id INT PRIMARY KEY, ${TENANT})`,
    );
    const plan = planOf(['child', 'parent', 'everything', 'parts', "'odd ` name (x'"]);

    const made = await createTargetSchema(plan, { source, target });
    const problems = await preflight(plan, { source, target });

    expect(made.create.map(({ table }) => table)).toEqual(plan.tables.map(({ name }) => name));
    expect(made.differences.map(formatProblem)).toEqual([]);
    expect(problems.map(formatProblem)).toEqual([]);
    for (const { name } of plan.tables) {
      const show = async (db: Database, schema: string) =>
        (await db.rows(`SHOW CREATE TABLE \`${schema}\`.\`${name.replaceAll('`', '``')}\``))[0]![
          'Create Table'
        ];
      expect(canonical(await show(target, THERE))).toBe(canonical(await show(source, HERE)));
    }
  });

  test('a second run creates nothing, and a half-made schema is completed', async () => {
    await onSource(
      `CREATE TABLE ${HERE}.a (id INT PRIMARY KEY, ${TENANT})`,
      `CREATE TABLE ${HERE}.b (id INT PRIMARY KEY, ${TENANT})`,
    );
    await createTargetSchema(planOf(['a']), { source, target });
    await target.run(`INSERT INTO ${THERE}.a VALUES (1, 'acme')`);

    const second = await createTargetSchema(planOf(['a', 'b']), { source, target });
    const third = await createTargetSchema(planOf(['a', 'b']), { source, target });

    expect(second.create.map(({ table }) => table)).toEqual(['b']);
    expect(third).toEqual({ schema: null, create: [], differences: [] });
    expect(await target.rows(`SELECT id FROM ${THERE}.a`)).toEqual([{ id: '1' }]);
  });

  test('a table that stands is compared, never altered', async () => {
    await onSource(`CREATE TABLE ${HERE}.a (id INT PRIMARY KEY, note TEXT, ${TENANT})`);
    await target.run(`CREATE DATABASE ${THERE}`);
    await target.run(
      `CREATE TABLE ${THERE}.a (id INT PRIMARY KEY, tenant_id VARCHAR(40) COLLATE utf8mb4_unicode_ci NOT NULL)`,
    );

    const made = await createTargetSchema(planOf(['a']), { source, target });

    expect(made.create).toEqual([]);
    expect(made.differences.map(formatProblem)).toEqual([
      'target.a.note: "text" is missing on the target; add it to the target',
    ]);
  });

  test('a table that the source lacks, and a key to a table that does not move, are differences', async () => {
    await onSource(
      `CREATE TABLE ${HERE}.elsewhere (id INT PRIMARY KEY)`,
      `CREATE TABLE ${HERE}.a (id INT PRIMARY KEY, ${TENANT}, CONSTRAINT out_ FOREIGN KEY (id) REFERENCES elsewhere (id))`,
    );

    const made = await createTargetSchema(planOf(['a', 'nowhere']), { source, target });

    expect(made.create).toEqual([]);
    expect(made.differences.map(({ field, value }) => [field, value])).toEqual([
      ['target.a', 'out_'],
      ['tables.nowhere', 'nowhere'],
    ]);
  });
});

describe('a definition', () => {
  const from = (flavour: 'mysql' | 'mariadb', lines: readonly string[], options: string): string =>
    adapt(`CREATE TABLE \`t\` (\n${lines.join(',\n')}\n) ${options}`, { flavour, schema: 's', name: 't' });

  test('loses what names the source’s disk or what Aurora refuses, and keeps its comment', () => {
    const options =
      "/*!50100 TABLESPACE `ts` */ ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1 ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8 COMPRESSION='zlib' ENCRYPTION='Y' COMMENT='KEY_BLOCK_SIZE=8 ENCRYPTION=''Y''' DATA DIRECTORY='/x'";

    expect(from('mysql', ['  `id` int NOT NULL'], options)).toBe(
      "CREATE TABLE IF NOT EXISTS `s`.`t` (\n  `id` int NOT NULL\n)  ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=latin1 COMMENT='KEY_BLOCK_SIZE=8 ENCRYPTION=''Y'''",
    );
  });

  test('of MariaDB is said in MySQL’s words, outside of texts', () => {
    const sql = from(
      'mariadb',
      [
        '  `id` uuid NOT NULL DEFAULT uuid()',
        "  `a` text DEFAULT 'uuid()'",
        "  `b` varchar(9) DEFAULT 'IGNORED' COMMENT ' DEFAULT uuid() IGNORED'",
        '  `c` inet6 DEFAULT NULL',
        '  `d` mediumtext /*M!100301 COMPRESSED*/ DEFAULT NULL',
        '  KEY `k` (`b`) IGNORED',
      ],
      'ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci PAGE_CHECKSUM=1 `PAGE_COMPRESSED`=1 TRANSACTIONAL=1',
    );

    expect(sql.split('\n').slice(1)).toEqual([
      '  `id` char(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT (uuid()),',
      "  `a` text DEFAULT ('uuid()'),",
      "  `b` varchar(9) DEFAULT 'IGNORED' COMMENT ' DEFAULT uuid() IGNORED',",
      '  `c` varchar(39) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,',
      '  `d` mediumtext DEFAULT NULL,',
      '  KEY `k` (`b`) INVISIBLE',
      ') ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci',
    ]);
  });
});

describe.skipIf(onPath('mariadbd').length === 0)('from MariaDB', () => {
  let maria: Database;
  let stop: () => Promise<void>;

  beforeAll(async () => {
    const server = await startMariadb({ name: 'target-schema' });
    maria = new Database({ side: 'source', url: server.url() });
    stop = () => server.stop();
  });

  afterAll(async () => {
    await maria.close();
    await stop();
  });

  beforeEach(() => emptySchemas(maria));

  test('tables arrive on MySQL and pass preflight', async () => {
    await maria.run(
      `CREATE TABLE ${HERE}.t (id INT AUTO_INCREMENT PRIMARY KEY, tenant_id VARCHAR(40) NOT NULL, j JSON, body TEXT DEFAULT 'it''s', at DATETIME(3) DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3),
         ts TIMESTAMP NOT NULL DEFAULT current_timestamp(), u CHAR(36) DEFAULT uuid(), n INT, twice INT AS (n * 2) STORED, e ENUM('a','b') DEFAULT 'b', KEY by_tenant (tenant_id)) AUTO_INCREMENT=12 PAGE_CHECKSUM=1 TRANSACTIONAL=1`,
    );
    await maria.run(`INSERT INTO ${HERE}.t (tenant_id) VALUES ('acme'), ('globex')`);
    const plan = planOf(['t']);

    const made = await createTargetSchema(plan, { source: maria, target });
    const problems = await preflight(plan, { source: maria, target });

    expect(made.differences.map(formatProblem)).toEqual([]);
    expect(problems.map(formatProblem)).toEqual([]);
  });

  test('a collation that MySQL lacks and a table with a period are differences', async () => {
    await maria.run(
      `CREATE TABLE ${HERE}.a (id INT PRIMARY KEY, x VARCHAR(9) COLLATE utf8mb4_nopad_bin, ${TENANT})`,
    );
    await maria.run(
      `CREATE TABLE ${HERE}.b (id INT PRIMARY KEY, a DATE, b DATE, PERIOD FOR p (a, b), ${TENANT})`,
    );

    const made = await createTargetSchema(planOf(['a', 'b']), { source: maria, target });

    expect(made.create).toEqual([]);
    expect(made.differences.map(({ field, value }) => [field, value])).toEqual([
      ['target.a', 'utf8mb4_nopad_bin'],
      ['target.b', 'PERIOD FOR'],
    ]);
  });

  test('tenants that its collations call equal are named', async () => {
    await maria.run(`CREATE TABLE ${HERE}.t (id INT PRIMARY KEY, ${TENANT})`);
    await maria.run(`INSERT INTO ${HERE}.t VALUES (1, 'globex'), (2, 'GLOBEX')`);
    await createTargetSchema(planOf(['t']), { source: maria, target });

    const problems = await preflight(planOf(['t']), { source: maria, target });

    expect(problems.map(({ value }) => value)).toEqual(['globex" and "GLOBEX']);
  });
});

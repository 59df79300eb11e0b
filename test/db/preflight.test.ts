/** Preflight on two real servers: everything in the way, at once, with the way out; and nothing when all is well. */
import { describe, expect, test } from 'vitest';

import { readTables } from '../../src/db/catalog.ts';
import type { Database } from '../../src/db/database.ts';
import { distinctIdsOneByOne } from '../../src/db/preflight/tenant-checks.ts';
import { formatProblem } from '../../src/domain/errors.ts';
import {
  SCHEMA,
  CONTROL,
  source,
  target,
  onSource,
  onTarget,
  onBoth,
  plan,
  look,
  brief,
  remedies,
  CUSTOMERS,
  MESSAGES,
  DELIVERIES,
  COUNTRIES,
  create,
  WHOLE,
  one,
} from './preflight-lab.ts';

describe('a good pair of databases', () => {
  test('has no problem', async () => {
    await onBoth(create(CUSTOMERS), create(MESSAGES), create(DELIVERIES), create(COUNTRIES));

    expect((await look(plan(WHOLE))).map(formatProblem)).toEqual([]);
  });

  test('may have a wider target, with columns of its own', async () => {
    await onSource(
      create(
        't (id INT UNSIGNED PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, body TEXT CHARACTER SET latin1, KEY k (tenant_id))',
      ),
    );
    await onTarget(
      create(
        't (id BIGINT UNSIGNED PRIMARY KEY, tenant_id VARCHAR(40) NOT NULL, body MEDIUMTEXT, note TEXT NULL, at TIMESTAMP NOT NULL DEFAULT NOW(), KEY k (tenant_id))',
      ),
    );

    expect((await look(plan(one('t')))).map(formatProblem)).toEqual([]);
  });

  test('is left as it was', async () => {
    await onBoth(create(CUSTOMERS));
    const contents = async (db: Database) => ({
      schemas: await db.rows(
        'SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME IN (?, ?)',
        [SCHEMA, CONTROL],
      ),
      tables: await db.rows(
        'SELECT TABLE_NAME, CREATE_TIME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?',
        [SCHEMA],
      ),
    });
    const before = [await contents(source), await contents(target)];

    await look(plan(WHOLE));

    expect([await contents(source), await contents(target)]).toEqual(before);
  });
});

describe('source tables', () => {
  test('are all judged at once, each with its remedy', async () => {
    await onSource(
      create(CUSTOMERS),
      create('isam (id INT PRIMARY KEY, tenant_id INT NOT NULL, KEY (tenant_id)) ENGINE=MyISAM'),
      create('keyless (id INT, tenant_id INT NOT NULL, KEY (tenant_id))'),
      create('prefixed (id VARCHAR(100), tenant_id INT NOT NULL, PRIMARY KEY (id(10)), KEY (tenant_id))'),
      create('inexact (id DOUBLE PRIMARY KEY, tenant_id INT NOT NULL, KEY (tenant_id))'),
      `CREATE VIEW ${SCHEMA}.view AS SELECT 1 AS id`,
    );

    const problems = await look(
      plan(
        `{ customer: { tenant: shared }, view: { tenant: shared }, isam: { tenant: shared }, keyless: { tenant: shared },
           prefixed: { tenant: shared }, inexact: { tenant: shared } }`,
      ),
    );

    const ours = problems.filter(({ problem }) => !problem.includes('is not on the target'));
    expect(brief(ours)).toEqual([
      `tables.customer | customer | is not in the source's schema ${SCHEMA}`,
      'tables.view | view | is a view, not a base table',
      'tables.isam | MyISAM | has an engine without transactions',
      'tables.keyless | keyless | has no primary key, so its rows cannot be told apart',
      'tables.prefixed | id | is a primary key of column prefixes',
      'tables.inexact.id | double | is no type for a primary key that two servers must agree on',
    ]);
    expect(remedies(ours).slice(0, 3)).toEqual([
      'did you mean customers?',
      'name the tables under it instead',
      `ALTER TABLE \`${SCHEMA}\`.\`isam\` ENGINE=InnoDB`,
    ]);
  });

  test('need a tenant column that is whole, short and indexed', async () => {
    await onBoth(
      create('a (id INT PRIMARY KEY, tenant_id INT NULL)'),
      create('b (id INT PRIMARY KEY, tenant_id DATETIME NOT NULL, KEY (tenant_id))'),
      create('c (id INT PRIMARY KEY, tenant_id VARCHAR(256) NOT NULL, KEY (tenant_id))'),
      create('d (id INT PRIMARY KEY, tenant_id VARBINARY(128) NOT NULL, KEY (tenant_id))'),
      create('e (id INT PRIMARY KEY, tenant_id VARCHAR(40) NOT NULL, KEY (tenant_id(5)))'),
      create('f (tenant_id INT NOT NULL, id INT, PRIMARY KEY (tenant_id, id))'),
      create('g (id INT PRIMARY KEY, tenantid INT)'),
    );
    const tables = 'abcdefg'
      .split('')
      .map((name) => `${name}: { tenant: { column: tenant_id } }`)
      .join(', ');

    const problems = (await look(plan(`{ ${tables} }`))).filter(({ field }) => field.startsWith('tables.'));

    expect(brief(problems)).toEqual([
      'tables.a.tenant.column | tenant_id | may be NULL, and such a row belongs to nobody',
      'tables.a.tenant.column | tenant_id | has no index that starts with it',
      'tables.b.tenant.column | tenant_id | is datetime',
      'tables.c.tenant.column | tenant_id | is varchar(256), too long for a tenant id',
      'tables.d.tenant.column | tenant_id | is varbinary(128), too long for a tenant id',
      'tables.e.tenant.column | tenant_id | has no index that starts with it',
      'tables.g.tenant.column | tenant_id | is no column of the table',
    ]);
    expect(remedies(problems)).toContain(
      `CREATE INDEX \`switchback_tenant_id\` ON \`${SCHEMA}\`.\`a\` (\`tenant_id\`) ALGORITHM=INPLACE LOCK=NONE`,
    );
    expect(remedies(problems).at(-1)).toBe('did you mean tenantid?');
  });

  test('are mended by the statement that the remedy prints', async () => {
    await onBoth(create('m (id INT PRIMARY KEY, tenant_id INT NOT NULL, created_at DATETIME NOT NULL)'));
    const wanted = plan(one('m', ', time: created_at'), '1');
    const statements = remedies(await look(wanted)).filter((remedy) => remedy.startsWith('CREATE INDEX'));

    await onBoth(...statements);

    expect(statements).toHaveLength(2);
    expect((await look(wanted)).map(formatProblem)).toEqual([]);
  });

  test('need a parent that can be looked up', async () => {
    await onBoth(
      create(
        'parents (id INT PRIMARY KEY, tenant_id INT NOT NULL, code INT NOT NULL, KEY (tenant_id), KEY (code))',
      ),
      create('kids (id INT PRIMARY KEY, parent_id INT NULL)'),
      create('codes (id INT PRIMARY KEY, code VARCHAR(9) NOT NULL, KEY (code))'),
      create('lost (id INT PRIMARY KEY, parent_id INT NOT NULL, KEY (parent_id))'),
    );

    const problems = await look(
      plan(
        `{ parents: { tenant: { column: tenant_id } }, kids: { tenant: { parent: parents, column: parent_id } },
           codes: { tenant: { parent: parents, column: code, references: code } },
           lost: { tenant: { parent: parents, column: parent, references: nope } } }`,
        '1',
      ),
    );

    expect(brief(problems)).toEqual([
      'tables.kids.tenant.column | parent_id | may be NULL, and such a row belongs to nobody',
      'tables.kids.tenant.column | parent_id | has no index that starts with it',
      'tables.codes.tenant.references | code | is not unique in parents',
      'tables.codes.tenant.references | code | is int, but code is varchar(9)',
      'tables.lost.tenant.column | parent | is no column of the table',
      'tables.lost.tenant.references | nope | is no column of parents',
    ]);
  });

  test('need a time column that every row has, behind the tenant in an index', async () => {
    await onBoth(
      create('a (id INT PRIMARY KEY, tenant_id INT NOT NULL, at DATETIME NULL, KEY (tenant_id, at))'),
      create(
        'b (id INT PRIMARY KEY, tenant_id INT NOT NULL, at DATETIME NOT NULL, KEY (at, tenant_id), KEY (tenant_id))',
      ),
      create('c (id INT PRIMARY KEY, tenant_id INT NOT NULL, at TIME NOT NULL, KEY (tenant_id, at))'),
      create('d (id INT PRIMARY KEY, at DATETIME NOT NULL)'),
      create(
        'e (id INT PRIMARY KEY, tenant_id INT NOT NULL, at TIMESTAMP NOT NULL DEFAULT NOW() ON UPDATE NOW(), KEY (tenant_id, at))',
      ),
      create(
        'f (id INT PRIMARY KEY, tenant_id INT NOT NULL, b DATE NOT NULL, at DATE AS (b) STORED NOT NULL, KEY (tenant_id, at))',
      ),
      create(
        'g (id INT PRIMARY KEY, tenant_id INT NOT NULL, n INT NULL, at DATE NOT NULL, KEY (tenant_id, at, n))',
      ),
      create('h (id INT PRIMARY KEY, tenant_id INT NOT NULL, at DATE NOT NULL, KEY (tenant_id, at, id))'),
    );

    const problems = await look(
      plan(
        `{ a: { tenant: { column: tenant_id }, time: at }, b: { tenant: { column: tenant_id }, time: at },
           c: { tenant: { column: tenant_id }, time: at }, d: { tenant: shared, time: at },
           ${['e', 'f', 'g', 'h'].map((name) => `${name}: { tenant: { column: tenant_id }, time: at }`).join(', ')} }`,
        '1',
      ),
    );

    expect(brief(problems)).toEqual([
      'tables.a.time | at | may be NULL, and such rows are in no window',
      'tables.b.time | at | has no index on exactly (tenant_id, at), or on these and then the primary key',
      'tables.c.time | at | is time, not a time',
      'tables.d.time | at | needs a tenant column in the same table',
      'tables.e.time | at | changes by itself with every UPDATE (ON UPDATE CURRENT_TIMESTAMP)',
      'tables.f.time | at | is generated from other columns, which may change',
      'tables.g.time | at | has no index on exactly (tenant_id, at), or on these and then the primary key',
    ]);
  });
});

describe('tenant ids', () => {
  test.each([
    'utf8mb4_0900_ai_ci',
    'utf8mb4_general_ci',
    'utf8mb4_unicode_ci',
    'utf8mb4_bin',
    'latin1_swedish_ci',
  ])('that %s calls equal are named', async (collation) => {
    const charset = collation.split('_')[0]!;
    await onBoth(
      create(
        `t (id INT PRIMARY KEY, tenant_id VARCHAR(40) CHARACTER SET ${charset} COLLATE ${collation} NOT NULL, KEY (tenant_id))`,
      ),
    );
    await onSource(
      `INSERT INTO ${SCHEMA}.t VALUES (1, 'initech'), (2, 'acme'), (3, 'ACME'), (4, 'müller'), (5, 'muller '), (6, 'pad'), (7, 'pad ')`,
    );

    const problems = await look(plan(one('t'), 'initech'));

    const groups = problems.map(({ value }) => value).toSorted();
    const padded = collation === 'utf8mb4_0900_ai_ci' ? [] : ['pad" and "pad '];
    const cased = collation === 'utf8mb4_bin' ? [] : ['acme" and "ACME'];
    expect(groups).toEqual(expect.arrayContaining([...padded, ...cased]));
    expect(problems.every(({ problem }) => problem.startsWith('are different tenants, but one to'))).toBe(
      true,
    );
    expect(groups.some((group) => group.includes('initech'))).toBe(false);
  });

  test('are compared over all tables and with the plan', async () => {
    await onBoth(
      create(
        'a (id INT PRIMARY KEY, tenant_id VARCHAR(40) COLLATE utf8mb4_0900_bin NOT NULL, KEY (tenant_id))',
      ),
      create(
        'b (id INT PRIMARY KEY, tenant_id VARCHAR(40) COLLATE utf8mb4_0900_ai_ci NOT NULL, KEY (tenant_id))',
      ),
    );
    await onSource(
      `INSERT INTO ${SCHEMA}.a VALUES (1, 'Acme'), (2, '_shared')`,
      `INSERT INTO ${SCHEMA}.b VALUES (1, 'acme'), (2, 'globex')`,
    );

    const problems = await look(
      plan('{ a: { tenant: { column: tenant_id } }, b: { tenant: { column: tenant_id } } }', 'acme, GLOBEX'),
    );

    expect(brief(problems)).toEqual([
      'tables | _shared | is the id of a tenant in the source',
      'tables.b.tenant.column | acme" and "Acme | are different tenants, but one to the collation utf8mb4_0900_ai_ci of tenant_id',
      'tables.b.tenant.column | GLOBEX" and "globex | are different tenants, but one to the collation utf8mb4_0900_ai_ci of tenant_id',
    ]);
  });

  test('are found one by one as they are all at once', async () => {
    await onSource(
      create(
        't (id INT PRIMARY KEY, tenant_id VARCHAR(40) COLLATE utf8mb4_general_ci NOT NULL, KEY (tenant_id))',
      ),
      `INSERT INTO ${SCHEMA}.t VALUES (1, 'globex'), (2, 'acme'), (3, 'ACME'), (4, 'acme '), (5, ''), (6, 'globex')`,
    );
    const [table] = await readTables(source, SCHEMA, ['t']);
    const column = table!.columns.find(({ name }) => name === 'tenant_id')!;

    const ids = await distinctIdsOneByOne({ db: source }, { table: table!, column });

    expect(ids.toSorted()).toEqual(['', 'ACME', 'acme', 'acme ', 'globex']);
  });

  test('of the plan must be able to stand in the column', async () => {
    await onBoth(
      create('a (id INT PRIMARY KEY, tenant_id INT NOT NULL, KEY (tenant_id))'),
      create('b (id INT PRIMARY KEY, tenant_id BINARY(2) NOT NULL, KEY (tenant_id))'),
    );

    const numbers = await look(plan(one('a'), '"7", "07", acme'));
    const bytes = await look(plan(one('b'), 'ab01, AB01'));

    expect(brief(numbers)).toEqual([
      'waves.first | 07 | cannot stand in the tenant column tenant_id (int)',
      'waves.first | acme | cannot stand in the tenant column tenant_id (int)',
    ]);
    expect(brief(bytes)).toEqual([
      'waves.first | AB01 | cannot stand in the tenant column tenant_id (binary(2))',
    ]);
  });
});

describe('the target', () => {
  test('that lacks a table or the schema is told how to get it', async () => {
    await onSource(create(CUSTOMERS));
    const noTable = await look(plan(one('customers')));
    await onTarget(`DROP DATABASE ${SCHEMA}`);
    const noSchema = await look(plan(one('customers')));

    expect(brief(noTable)).toEqual(['tables.customers | customers | is not on the target']);
    expect(remedies(noTable)).toEqual(['run switchback install --target-schema']);
    expect(brief(noSchema)).toEqual([`target.schema | ${SCHEMA} | does not exist, or cannot be seen`]);
  });

  test('is compared column by column and key by key', async () => {
    const shared = 'tenant_id INT NOT NULL, KEY k (tenant_id)';
    await onSource(
      create(`t (id VARCHAR(20) COLLATE utf8mb4_bin PRIMARY KEY, gone INT, big BIGINT, sign INT UNSIGNED, dec_ DECIMAL(10,2), at DATETIME(3),
        label ENUM('a','b'), chars VARCHAR(20), text_ TEXT, may INT, must INT NOT NULL, twice INT AS (must * 2), mail VARCHAR(20), other VARCHAR(20), UNIQUE u (mail), ${shared})`),
    );
    await onTarget(
      create(`t (id VARCHAR(20) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, big INT, sign INT, dec_ DECIMAL(12,2), at DATETIME,
        label ENUM('b','a'), chars VARCHAR(10), text_ TEXT CHARACTER SET latin1, may INT NOT NULL, must INT, twice INT, mail VARCHAR(20), other VARCHAR(20), extra INT NOT NULL, UNIQUE v (other),
        tenant_id INT NOT NULL, KEY renamed (tenant_id)) ENGINE=InnoDB`),
    );

    expect(brief(await look(plan(one('t'), '1')))).toEqual([
      'target.t.id | utf8mb4_0900_ai_ci | is a key column and has the collation utf8mb4_bin on the source',
      'target.t.gone | int | is missing on the target',
      'target.t.big | int | is bigint on the source',
      'target.t.sign | int | is int unsigned on the source',
      'target.t.dec_ | decimal(12,2) | is decimal(10,2) on the source',
      'target.t.at | datetime | is datetime(3) on the source',
      "target.t.label | enum('b','a') | is enum('a','b') on the source",
      'target.t.chars | varchar(10) | is varchar(20) on the source',
      'target.t.text_ | latin1 | has the character set utf8mb4 on the source',
      'target.t.may | NOT NULL | is NULL on the source',
      'target.t.must | NULL | is NOT NULL on the source',
      'target.t.twice | stored by writers | is generated on the source',
      'target.t.extra | int | is NOT NULL without a default, and the source has no such column',
      'target.t | u (mail) | is a unique key that the target lacks',
      'target.t | v (other) | is a unique key that the source lacks: rows of the source may not fit',
      "target.t | k (tenant_id) | is an index by which the tenant's rows are found, and the target lacks it",
    ]);
  });

  test('needs the same primary key in the same order, and an engine with transactions', async () => {
    await onSource(create('t (tenant_id INT NOT NULL, id INT, PRIMARY KEY (tenant_id, id))'));
    await onTarget(create('t (tenant_id INT NOT NULL, id INT, PRIMARY KEY (id, tenant_id)) ENGINE=MyISAM'));

    expect(brief(await look(plan(one('t'), '1')))).toEqual([
      'target.t | MyISAM | has an engine without transactions',
      "target.t | id, tenant_id | is its primary key, but the source's is (tenant_id, id)",
    ]);
  });

  test('has no trigger of its own and no event that runs', async () => {
    await onBoth(create(CUSTOMERS), create(COUNTRIES));
    await onTarget(
      `CREATE TRIGGER ${SCHEMA}.stamp BEFORE INSERT ON ${SCHEMA}.customers FOR EACH ROW SET NEW.name = 'x'`,
      `CREATE TRIGGER ${SCHEMA}.switchback_1_insert AFTER INSERT ON ${SCHEMA}.customers FOR EACH ROW SET @a = 1`,
      `CREATE EVENT ${SCHEMA}.nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM ${SCHEMA}.customers`,
      `CREATE EVENT ${SCHEMA}.asleep ON SCHEDULE EVERY 1 DAY DISABLE DO DO 1`,
    );

    expect(brief(await look(plan(one('customers'))))).toEqual([
      "target.customers | stamp | is a trigger: what the source's trigger did would be done again",
      'target.schema | nightly | is an event that runs on the target',
    ]);
  });
});

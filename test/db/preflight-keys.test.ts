/** Foreign keys and indexes that stand in the way of a move: found before anything is installed, by name, with the way out. */
import { describe, expect, test } from 'vitest';

import { formatProblem } from '../../src/domain/errors.ts';
import { SCHEMA, onBoth, onSource, plan, look, brief, CUSTOMERS, create, one } from './preflight-lab.ts';

describe('foreign keys that act', () => {
  test('may not cascade from where capture cannot stand', async () => {
    const other = `${SCHEMA}_other`;
    await onBoth(create(CUSTOMERS));
    await onSource(
      `CREATE DATABASE ${other}`,
      `CREATE TABLE ${other}.owners (id BIGINT PRIMARY KEY)`,
      `ALTER TABLE ${SCHEMA}.customers ADD CONSTRAINT far FOREIGN KEY (id) REFERENCES ${other}.owners (id) ON DELETE CASCADE`,
    );

    const problems = await look(plan(one('customers')));
    await onSource(`ALTER TABLE ${SCHEMA}.customers DROP FOREIGN KEY far`, `DROP DATABASE ${other}`);

    expect(brief(problems)).toEqual([
      `tables.customers | far | cascades from ${other}.owners, where capture cannot stand`,
    ]);
  });

  test('may not cascade from there through a table outside the plan either', async () => {
    const other = `${SCHEMA}_above`;
    await onBoth(create(CUSTOMERS));
    await onSource(
      `CREATE DATABASE ${other}`,
      `CREATE TABLE ${other}.owners (id BIGINT PRIMARY KEY)`,
      create(
        `between_them (id BIGINT PRIMARY KEY, CONSTRAINT far FOREIGN KEY (id) REFERENCES ${other}.owners (id) ON UPDATE CASCADE)`,
      ),
      `ALTER TABLE ${SCHEMA}.customers ADD CONSTRAINT near FOREIGN KEY (id) REFERENCES between_them (id) ON UPDATE CASCADE`,
    );

    const problems = await look(plan(one('customers')));
    await onSource(`ALTER TABLE ${SCHEMA}.between_them DROP FOREIGN KEY far`, `DROP DATABASE ${other}`);

    expect(brief(problems)).toEqual([
      `tables.between_them | far | cascades from ${other}.owners, where capture cannot stand`,
    ]);
  });

  test('may not cascade back to themselves in more ways than triggers can follow; one way is fine', async () => {
    const twice =
      'twice (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, KEY (tenant_id), a INT, b INT, FOREIGN KEY (a) REFERENCES twice (id) ON DELETE CASCADE, FOREIGN KEY (b) REFERENCES twice (id) ON DELETE CASCADE)';
    const once =
      'once (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, KEY (tenant_id), a INT, FOREIGN KEY (a) REFERENCES once (id) ON DELETE CASCADE)';
    await onBoth(create(twice), create(once));

    const problems = await look(
      plan('{ twice: { tenant: { column: tenant_id } }, once: { tenant: { column: tenant_id } } }'),
    );

    expect(problems.map(formatProblem)).toEqual([
      'tables.twice: "twice" foreign keys act from here in more than 200 ways that come back to the same tables; make some of them RESTRICT or NO ACTION',
    ]);
  });
});

describe('unique keys', () => {
  test('of prefixes and of expressions are named; of a generated column that holds either they are fine', async () => {
    const base =
      'id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, KEY (tenant_id), url VARCHAR(300) NOT NULL';
    await onBoth(
      create(
        `bad (${base}, UNIQUE KEY by_start (url(20)), UNIQUE KEY by_lower ((LOWER(url))), KEY plain (url(20)))`,
      ),
      create(`good (${base}, start VARCHAR(20) AS (LEFT(url, 20)) STORED, UNIQUE KEY by_start (start))`),
    );

    const problems = await look(
      plan('{ bad: { tenant: { column: tenant_id } }, good: { tenant: { column: tenant_id } } }'),
    );

    expect(problems.map(formatProblem)).toEqual([
      'tables.bad: "by_lower" is a unique key of an expression: who holds a value that moves cannot be found; make the expression a generated column, and the key one of that column',
      'tables.bad: "by_start" is a unique key of column prefixes: who holds a value that moves cannot be found; make it a key of whole columns, or of a generated column that holds the prefix',
    ]);
  });
});

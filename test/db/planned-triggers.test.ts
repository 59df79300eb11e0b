/** `plan check` names the columns that triggers read: those, and no others, fail a write once they are renamed. */
import { expect, it } from 'vitest';

import { columnsRead, plannedTriggers } from '../../src/db/planned-triggers.ts';
import { ident } from '../../src/db/sql.ts';
import { homeOf } from '../../src/db/tracked.ts';
import type { Plan, TablePlan } from '../../src/domain/plan.ts';
import { child, column, useFixture } from '../support/pair.ts';

/** A name may hold a backtick, and what ends a statement. */
const ODD = 'a`;b';

/** Columns, and a row of each. */
const TABLES: Readonly<Record<string, { readonly columns: string; readonly row: string }>> = {
  regions: { columns: 'id INT PRIMARY KEY, n INT NOT NULL', row: '1, 0' },
  owners: {
    columns:
      'id INT NOT NULL, line INT NOT NULL, tenant_id VARCHAR(20) NOT NULL, code INT NOT NULL UNIQUE, at DATETIME NOT NULL, region_id INT NULL, n INT NOT NULL, PRIMARY KEY (id, line), KEY (tenant_id), KEY (tenant_id, at), FOREIGN KEY (region_id) REFERENCES regions (id) ON DELETE SET NULL',
    row: "1, 1, 'ant', 7, '2026-01-01', 1, 0",
  },
  [ODD]: {
    columns: `id INT PRIMARY KEY, owner_code INT NOT NULL, n INT NOT NULL, ${ident(ODD)} INT NULL, KEY (owner_code)`,
    row: '1, 7, 0, 0',
  },
};

const PLANS: readonly TablePlan[] = [
  { name: 'owners', tenancy: column(), time: 'at' },
  { name: ODD, tenancy: child('owners', 'owner_code', 'code'), time: null },
];

const fixture = useFixture(
  Object.entries(TABLES).map(([name, { columns }]) => `CREATE TABLE ${ident(name)} (${columns})`),
);

/** Does a write of any table fail, and what it sets off? `n` is a column that nothing reads. */
async function fails(table: string, renamed: string): Promise<boolean> {
  const { pair } = fixture();
  const n = (name: string): string => (name === table && renamed === 'n' ? 'renamed' : 'n');
  const writes = Object.entries(TABLES).flatMap(([name, { row }]) => [
    `INSERT INTO ${ident(name)} VALUES (${row})`,
    `UPDATE ${ident(name)} SET ${n(name)} = ${n(name)} + 1`,
  ]);
  const deletes = Object.keys(TABLES).map((name) => `DELETE FROM ${ident(name)}`);
  try {
    await pair.source.session(async (session) => {
      await session.run(`USE ${ident(pair.sourceSchema)}`);
      await session.run('START TRANSACTION');
      try {
        for (const write of [...writes, ...deletes]) await session.run(write);
      } finally {
        // A session goes back to the pool as it is.
        await session.run('ROLLBACK');
      }
    });
    return false;
  } catch (error) {
    expect(error).toMatchObject({ errno: 1054 });
    return true;
  }
}

it(
  'they are found in the triggers themselves, of tables outside the plan too',
  { timeout: 120_000 },
  async () => {
    const { pair, sql, rows, install, start } = fixture();
    await install(
      Object.fromEntries(
        PLANS.map(({ name, tenancy, time }) => [name, time === null ? tenancy : { tenancy, time }]),
      ),
    );
    await start('ant');
    expect(await fails('', '')).toBe(false);

    const failing: Record<string, string[]> = {};
    for (const table of Object.keys(TABLES)) {
      const columns = await rows('source', `SHOW COLUMNS FROM ${ident(table)}`);
      for (const { Field: name } of columns) {
        const rename = (from: string, to: string) =>
          sql('source', `ALTER TABLE ${ident(table)} RENAME COLUMN ${ident(from)} TO ${ident(to)}`);
        await rename(name!, 'renamed');
        if (await fails(table, name!)) (failing[table] ??= []).push(name!);
        await rename('renamed', name!);
      }
    }
    const triggers = await plannedTriggers({ tables: PLANS } as unknown as Plan, homeOf(pair, ''), () => 1);
    const said = Object.fromEntries(columnsRead(triggers).map((one) => [one.table, one.columns]));
    expect(said).toEqual(
      Object.fromEntries(Object.entries(failing).map(([table, names]) => [table, names.sort()])),
    );
    expect(said).toMatchObject({
      regions: ['id'],
      owners: ['at', 'code', 'id', 'line', 'region_id', 'tenant_id'],
    });
  },
);

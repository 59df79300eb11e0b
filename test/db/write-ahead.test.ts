/** Rows that are written in the packet of their COMMIT: it is not carried out when a value would change. */
import { beforeAll, expect, it } from 'vitest';

import { STATEMENTS, type Statement } from '../../src/db/database.ts';
import { loadTracked } from '../../src/db/tracked.ts';
import { column, dump, useFixture } from '../support/pair.ts';

const fixture = useFixture([
  'CREATE TABLE prices (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, price DECIMAL(10,4) NOT NULL, KEY (tenant_id))',
  'CREATE TABLE words (word VARCHAR(20) CHARACTER SET utf8mb3 PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, KEY (tenant_id))',
]);

beforeAll(async () => {
  const { install, start, sql } = fixture();
  await sql('target', 'ALTER TABLE prices MODIFY price DECIMAL(10,2) NOT NULL');
  await install({ prices: column(), words: column() });
  await start('ant');
});

/** Rows of the target that the drain writes, by how often each is tried. */
async function writesOf(work: () => Promise<unknown>): Promise<number> {
  let count = 0;
  const hear = (message: unknown): void => {
    const { side, sql } = message as Statement;
    if (side === 'target' && /^(REPLACE|DELETE)/.test(sql)) count += 1;
  };
  STATEMENTS.subscribe(hear);
  await work().finally(() => STATEMENTS.unsubscribe(hear));
  return count;
}

it('commits nothing when a value would change, says which column, and keeps the journal', async () => {
  const { sql, mirror } = fixture();
  await sql('source', "INSERT INTO prices VALUES (1, 'ant', 1.25)");
  await mirror.drain('ant');
  await sql('source', "UPDATE prices SET price = 1.2345; INSERT INTO prices VALUES (2, 'ant', 2)");
  await expect(mirror.drain('ant')).rejects.toThrow(
    'target: the value of column price would change on its way, or was refused (errno 1265)',
  );
  expect(await dump(fixture(), 'target', 'prices')).toEqual([expect.stringContaining('1.25')]);

  await sql('source', 'UPDATE prices SET price = 1.23 WHERE id = 1');
  await mirror.drain('ant');
  expect(await dump(fixture(), 'target', 'prices')).toEqual([
    expect.stringContaining('1.23'),
    expect.stringContaining('2.00'),
  ]);
});

it('a warning about a word is looked at once for each table, and then costs no second try', async () => {
  const { pair, sql, mirror } = fixture();
  await sql('source', "INSERT INTO words VALUES ('one', 'ant', 1), ('two', 'ant', 2), ('three', 'ant', 3)");
  await mirror.drain('ant');
  const drops = (word: string) => async (): Promise<void> => {
    await sql('source', `DELETE FROM words WHERE word = '${word}'`);
    await mirror.drain('ant');
  };
  expect(await writesOf(drops('one'))).toBe(2);
  mirror.retrack(await loadTracked(pair));
  expect(await writesOf(drops('two'))).toBe(1);
  expect(await sql('target', 'SELECT word FROM words')).toEqual([{ word: 'three' }]);
});

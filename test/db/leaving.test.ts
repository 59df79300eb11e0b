/** Journal rows are deleted behind the mirror's back, after the target's commit; the next batch does not wait for it. */
import { beforeAll, expect, it } from 'vitest';

import { Leaving } from '../../src/db/leaving.ts';
import { Mirror } from '../../src/db/mirror.ts';
import { column, dump, useFixture } from '../support/pair.ts';
import { stackInfo } from '../support/stack.ts';
import { FaultyDatabase, isStep } from './protocol/faults.ts';

const fixture = useFixture([
  'CREATE TABLE items (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, KEY (tenant_id))',
]);

beforeAll(async () => {
  await fixture().install({ items: column() });
  await fixture().start('ant');
  await fixture().sql('source', "INSERT INTO items VALUES (1, 'ant', 1), (2, 'ant', 1), (3, 'ant', 1)");
  await fixture().mirror.drain('ant');
});

/** A mirror whose journal deletes wait for `gate`; the images that it reads are counted by their keys. */
function watched(gate: () => Promise<void>) {
  const { pair, tracked } = fixture();
  const read: number[] = [];
  let deletions = 0;
  const source = new FaultyDatabase(
    { side: 'source', url: stackInfo().sourceUrl },
    {
      withoutLock: false,
      at(moment, side, text) {
        // A single key is no table of keys.
        if (moment === 'before' && isStep('image-read', side, text) && /^SELECT \d+, (k\.n|0),/.test(text))
          read.push(text.match(/ROW\(\d+/g)?.length ?? 1);
      },
      before: (side, text) => {
        if (!isStep('journal-delete', side, text)) return Promise.resolve();
        deletions += 1;
        return gate();
      },
    },
  );
  const watching = { ...pair, source };
  return {
    mirror: new Mirror(watching, tracked),
    leaving: new Leaving(watching),
    read,
    source,
    deletions: () => deletions,
  };
}

const journaled = async (): Promise<number> =>
  (await fixture().rows('source', `SELECT id FROM \`${fixture().pair.control}\`.journal`)).length;

const expectEqual = async (): Promise<void> =>
  expect(await dump(fixture(), 'target', 'items')).toEqual(await dump(fixture(), 'source', 'items'));

it('a write is on the target before its journal row is gone, and is not applied again meanwhile', async () => {
  const { sql } = fixture();
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  const { mirror, read, source } = watched(() => opened);
  await sql('source', 'UPDATE items SET n = 2 WHERE id IN (1, 2)');
  expect(await mirror.reach('ant')).toBe(2);
  await expectEqual();
  expect(await journaled()).toBe(2);
  await sql('source', 'UPDATE items SET n = 3 WHERE id = 3');
  const next = mirror.reach('ant');
  await expect
    .poll(() => dump(fixture(), 'target', 'items'), { timeout: 10_000 })
    .toContain(JSON.stringify({ id: '3', tenant_id: 'ant', n: '3' }));
  open();
  expect(await next).toBe(1);
  expect(read).toEqual([2, 1]);
  expect(await mirror.drain('ant')).toBe(0);
  expect(await journaled()).toBe(0);
  await source.close();
});

it('what leaves within a moment is deleted at once, whoever it is of; who waits for it hears of no other', async () => {
  const { pair, rows } = fixture();
  let isBroken = false;
  const { leaving, deletions, source } = watched(() =>
    isBroken ? Promise.reject(new Error('broken')) : Promise.resolve(),
  );
  const write = async (tenant: string): Promise<readonly [string, readonly string[]]> => {
    await pair.source.run(
      `INSERT INTO \`${pair.control}\`.journal (tenant, table_id, row_key) VALUES ('${tenant}', 1, 'x')`,
    );
    const found = (await rows(
      'source',
      `SELECT id FROM \`${pair.control}\`.journal WHERE tenant = '${tenant}'`,
    )) as {
      id: unknown;
    }[];
    return [tenant, found.map(({ id }) => String(id))];
  };
  const both = [await write('cat'), await write('dog')];
  for (const one of both) await leaving.delete(new Map([one]));
  expect(leaving.of(['cat', 'dog']).size).toBe(2);
  await leaving.settled('cat');
  expect(await journaled()).toBe(0);
  expect(deletions()).toBe(1);
  expect(leaving.of(['cat', 'dog']).size).toBe(0);

  isBroken = true;
  await leaving.delete(new Map([await write('cat')]));
  await expect(leaving.settled('cat')).rejects.toThrow('broken');
  isBroken = false;
  const dog = await write('dog');
  await leaving.delete(new Map([dog]));
  await leaving.settled('dog');
  await leaving.delete(new Map([await write('cat')]));
  await leaving.settled('cat');
  expect(await journaled()).toBe(0);
  await source.close();
});

it('rows whose deletion failed are applied again', async () => {
  const { sql } = fixture();
  let isBroken = true;
  const { mirror, source } = watched(() =>
    isBroken ? Promise.reject(new Error('broken')) : Promise.resolve(),
  );
  await sql('source', 'UPDATE items SET n = 4');
  await expect(mirror.drain('ant')).rejects.toThrow('broken');
  expect(await journaled()).toBe(3);
  // Nobody waits for the deletion, but whoever comes after its failure hears of it.
  const told = () => mirror.reach('ant').then(String, (error: Error) => error.message);
  await expect.poll(told, { timeout: 10_000 }).toBe('broken');
  isBroken = false;
  await mirror.drain('ant').catch(() => {}); // told of the failure before
  await mirror.drain('ant');
  expect(await journaled()).toBe(0);
  await expectEqual();
  await source.close();
});

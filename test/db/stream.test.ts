/** Rows as they arrive: nothing is lost, and nothing waits for what has come already. */
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, expect, it } from 'vitest';

import { Database } from '../../src/db/database.ts';
import { stackInfo } from '../support/stack.ts';

let database: Database | null = null;
const source = () =>
  (database ??= new Database({ side: 'source', url: stackInfo().sourceUrl, deadline: 3_000 }));
afterAll(() => database?.close());

const NUMBERS = '(SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5)';

it.each([1_000, 30_000, 66_000, 200_000])(
  'rows of %i bytes reach a reader that takes its time',
  async (size) => {
    for (const rows of [0, 1, 2, 3, 4, 5, 25, 125]) {
      const joined = `${NUMBERS} a, ${NUMBERS} b, ${NUMBERS} c`;
      let count = 0;
      await source().session(async (session) => {
        for await (const batch of session.stream(
          `SELECT REPEAT('x', ${size}) FROM ${joined} LIMIT ${rows}`,
        )) {
          count += batch.length;
          // The rest has arrived and is held back when the reader comes for more.
          await sleep(rows > 25 ? 1 : 20);
        }
      });
      expect(count).toBe(rows);
    }
  },
);

it('a reader that stops early gives its session up, and the pool goes on', async () => {
  for (let round = 0; round < 15; round += 1) {
    const stopped = source().session(async (session) => {
      for await (const batch of session.stream(`SELECT REPEAT('x', 100000) FROM ${NUMBERS} a, ${NUMBERS} b`))
        if (batch.length > 0) throw new Error('enough');
    });
    await expect(stopped).rejects.toThrow('enough');
  }
  expect(await source().rows('SELECT 1 AS one')).toEqual([{ one: '1' }]);
});

it.each([true, false])(
  'statements around a stream are answered each for itself, in one packet: %s',
  async (combines) => {
    const database = new Database({ side: 'source', url: stackInfo().sourceUrl, combines });
    const NOTHING = 'SELECT 1 FROM (SELECT 1) x WHERE FALSE';
    await database.session(async (session) => {
      const heard: (readonly string[])[] = [];
      const text = (rows: readonly (readonly (Buffer | null)[])[]) =>
        rows.map((row) => row.map(String).join());
      let count = 0;
      const stream = session.streamBetween(
        [NOTHING, 'SELECT 1, 2 UNION ALL SELECT 3, NULL'],
        [`SELECT REPEAT('x', 50000) FROM ${NUMBERS} a, ${NUMBERS} b`, NOTHING, 'SELECT 1 UNION ALL SELECT 2'],
        ["SELECT 'behind'", NOTHING],
        (answers) => heard.push(...answers.map(text)),
      );
      for await (const batch of stream) {
        expect(heard).toEqual([]);
        count += batch.length;
      }
      expect(count).toBe(27);
      expect(heard).toEqual([[], ['1,2', '3,null'], ['behind'], []]);
      const refused = session.streamBetween(['SELECT nothing'], ['SELECT 1'], [], () =>
        heard.push(['never']),
      );
      await expect(refused.next()).rejects.toThrow('1054');
      expect(await session.rows('SELECT 1 AS one')).toEqual([{ one: '1' }]);
      expect(heard).toHaveLength(4);
    });
    await database.close();
  },
);

/** What is looked at before work begins: a connection that was just closed is not taken for a server that hides something. */
import { expect, it } from 'vitest';

import { Database, type Session } from '../../src/db/database.ts';
import { Throttle } from '../../src/db/throttle.ts';
import { limits as limitsOf } from '../support/limits.ts';
import { useFixture } from '../support/pair.ts';
import { stackInfo } from '../support/stack.ts';

const fixture = useFixture([]);
const limits = limitsOf({
  windowRows: 100,
  reconcileRows: 100,
  threadsRunning: 1_000,
  throttle: { historyList: 0, redoPercent: 0, replicaLag: 0 },
});

class ClosedOnce extends Database {
  isClosed = false;
  override session<T>(use: (session: Session) => Promise<T>): Promise<T> {
    return super.session(async (session) => {
      if (!this.isClosed) await session.run('KILL CONNECTION_ID()').catch(() => {});
      this.isClosed = true;
      return use(session);
    });
  }
}

it('a signal that can not be read is looked at again: its connection may just have been closed', async () => {
  const { pair } = fixture();
  const target = new ClosedOnce({ side: 'target', url: stackInfo().targetRootUrl });
  expect(await new Throttle({ ...pair, target }).check(limits)).toMatchObject({ problems: [] });
  expect(target.isClosed).toBe(true);
  await target.close();

  const gone = new Database({ side: 'target', url: 'mysql://nobody:x@127.0.0.1:1' });
  const { problems } = await new Throttle({ ...pair, target: gone }).check(limits);
  expect(problems).toMatchObject([{ field: 'limits.threadsRunning', value: 'target: Threads_running' }]);
  await gone.close();
});

/** Routers come and go in one process, and leave nothing behind. */
import { beforeAll, expect, it } from 'vitest';

import { add, bodies, plans, until, useApp } from './support.ts';

const { fixture, open } = useApp();

beforeAll(() => fixture().install(plans));

const ROUTERS = 40;

/** What keeps a process alive, by kind. */
const held = (): number =>
  process.getActiveResourcesInfo().filter((kind) => /TCPSocketWrap|Timeout/.test(kind)).length;

it('routers that were closed leave no connection and no timer', async () => {
  await fixture().start('lifecycle', 'read-target');
  const serve = async (): Promise<void> => {
    const router = await open({ connections: 2, sampleRate: 1 });
    await add(router, 'lifecycle', 'once');
    await bodies(router, 'lifecycle');
    await router.close();
  };
  await serve();
  const before = held();

  for (let round = 0; round < ROUTERS; round += 4) await Promise.all(Array.from({ length: 4 }, serve));

  await until(() => held() <= before + 4, `no more than the ${before} from before are held`);
  const [nodes] = await fixture().pair.source.rows(
    `SELECT COUNT(*) AS live FROM ${fixture().pair.control}.node WHERE lease_until > NOW(6)`,
  );
  expect(Number(nodes!['live'])).toBe(0);
});

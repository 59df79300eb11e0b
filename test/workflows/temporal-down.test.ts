/**
 * Temporal is killed while tenants stand in every phase: reads, writes, the mirror and `rollback --direct` go on without it;
 * when it is back every run goes on where it was, and adopts what happened meanwhile.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import type { RowDataPacket } from 'mysql2/promise';
import { expect, it } from 'vitest';

import { createRouter, type Router } from '../../src/app/index.ts';
import { LADDER, type Phase } from '../../src/domain/phase.ts';
import { switchbackHere, useFolder, writePlan } from '../cli/switchback.ts';
import { ownStack, stackInfo } from '../support/stack.ts';
import { standIn } from '../support/standing.ts';
import { useWorld } from '../support/world.ts';

/** Seconds that stand for the minutes of a real outage. */
const OUTAGE = 4_000;

const stack = ownStack({ only: ['temporal'] });
const world = useWorld(
  LADDER.map((phase) => `in-${phase}`),
  {
    approval: true,
    rows: 20,
    durations: { drill: 3_000, gateEvery: 2_000 },
    temporalAddress: () => stack().temporal.address,
  },
);
const folder = useFolder();

const tenantIn = (phase: Phase): string => `in-${phase}`;

function open(): Promise<Router> {
  const { pair } = world();
  const { sourceUrl, targetUrl } = stackInfo();
  return createRouter({
    source: sourceUrl,
    target: targetUrl,
    schema: { source: pair.sourceSchema, target: pair.targetSchema },
    control: pair.control,
    service: 'test',
    sampleRate: 0,
  });
}

const add = (router: Router, tenant: string, name: string) =>
  router
    .tenant(tenant)
    .write((conn) =>
      conn.execute('INSERT INTO customers (tenant_id, email, name) VALUES (?, ?, ?)', [
        tenant,
        `${tenant}-${name}@example.org`,
        name,
      ]),
    );

const names = (router: Router, tenant: string): Promise<string[]> =>
  router.tenant(tenant).read('names', async (conn) => {
    const [rows] = await conn.query<RowDataPacket[]>(
      "SELECT name FROM customers WHERE tenant_id = ? AND name NOT LIKE 'name %' ORDER BY id",
      [tenant],
    );
    return rows.map((row) => String(row['name']));
  });

const onSide = async (side: 'source' | 'target', tenant: string): Promise<string> =>
  (await world().rows(side, `SELECT COUNT(*) AS n FROM customers WHERE tenant_id = '${tenant}'`))[0]!['n']!;

it(
  'goes on without Temporal in every phase, and every run goes on when it is back',
  { timeout: 150_000 },
  async () => {
    const { followAsNode, work, until, command, stage, pair } = world();
    followAsNode();
    work();
    const router = await open();
    try {
      await Promise.all(LADDER.map((phase) => standIn(world(), tenantIn(phase), phase)));
      for (const phase of ['shadow', 'ready', 'ramp', 'drill'] as const)
        await command(tenantIn(phase), 'resume');
      await expect.poll(() => stage('in-drill'), { timeout: 20_000, interval: 50 }).toBe('read-target');

      await stack().temporal.kill();
      const down = Date.now();
      for (const phase of LADDER) {
        await add(router, tenantIn(phase), 'while it was down');
        expect(await names(router, tenantIn(phase)), phase).toEqual(['while it was down']);
      }
      // The rows of a tenant that has not begun are nobody's on the target.
      for (const phase of LADDER.filter((name) => name !== 'preflight'))
        await expect
          .poll(
            async () =>
              (
                await world().rows(
                  'target',
                  `SELECT name FROM customers WHERE email = '${tenantIn(phase)}-while it was down@example.org'`,
                )
              ).length,
            { timeout: 20_000 },
          )
          .toBe(1);

      const plan = await writePlan(await folder(), world().plan);
      const said = await switchbackHere(
        [
          'rollback',
          ...LADDER.filter((name) => name !== 'drill').map(tenantIn),
          '--direct',
          '--plan',
          plan,
          '--reason',
          'Temporal is down',
          '--json',
        ],
        { TEMPORAL_ADDRESS: stack().temporal.address },
      );
      expect(said.code, said.all).toBe(4);
      const { flipped, refused } = JSON.parse(said.stdout) as Record<
        'flipped' | 'refused',
        { tenant: string }[]
      >;
      expect(flipped.map(({ tenant }) => tenant)).toEqual(['in-ramp']);
      expect(refused).toHaveLength(LADDER.length - 2);
      expect(await stage('in-ramp')).toBe('shadow-read');
      expect(await names(router, 'in-ramp')).toEqual(['while it was down']);
      await sleep(Math.max(0, down + OUTAGE - Date.now()));
      await stack().temporal.start();

      const adopted = await until('in-ramp', 'shadow', 'stopped');
      expect(adopted.reason).toContain('Temporal is down');
      await until('in-drill', 'ready', 'waiting');
      await until('in-shadow', 'ready', 'waiting');
      await until('in-ready', 'ready', 'waiting');
      await Promise.all(
        (['preflight', 'dual-write', 'backfill', 'reconcile'] as const).map(async (phase) => {
          await command(tenantIn(phase), 'resume');
          await until(tenantIn(phase), 'ready', 'waiting');
        }),
      );
      for (const phase of LADDER) {
        const tenant = tenantIn(phase);
        await expect
          .poll(() => onSide('target', tenant), { timeout: 20_000 })
          .toBe(await onSide('source', tenant));
      }
      const drift = await pair.source.rows(`SELECT id FROM ${pair.control}.drift WHERE class <> 'missing'`);
      expect(drift).toEqual([]);
    } finally {
      await router.close();
    }
  },
);

/**
 * One applier process of the protocol stress: mirrors, copies, repairs and purges at random, and freezes
 * or kills itself at the steps that it was told. Says on standard output what happens to it.
 */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { copyTable, tablesOf } from '../../../src/db/backfill.ts';
import { isTransient } from '../../../src/db/faults.ts';
import { Mirror, purgeJournal } from '../../../src/db/mirror.ts';
import { loadTracked, type Pair } from '../../../src/db/tracked.ts';
import { repairKeys } from '../../../src/db/verdict.ts';
import { encodeKey } from '../../../src/domain/key.ts';
import { FaultyDatabase, isStep, type Step } from './faults.ts';
import { seeded } from './random.ts';
import { limits } from '../../support/limits.ts';

export interface Fault {
  readonly step: Step;
  readonly moment: 'before' | 'sent';
  readonly kind: 'freeze' | 'kill';
  /** How long the parent leaves it frozen. */
  readonly ms: number;
}

export interface ApplierConfig {
  readonly sourceUrl: string;
  readonly targetUrl: string;
  readonly control: string;
  readonly schema: string;
  readonly seed: number;
  readonly tenants: readonly string[];
  readonly idleTenant: string;
  readonly withoutLock: boolean;
  readonly idleTimeout: number;
  readonly customers: number;
  /** Taken one after the other; a kill ends the process. */
  readonly faults: readonly Fault[];
}

export type Said = { readonly fault: Fault } | { readonly error: string } | { readonly cycles: number };

const say = (said: Said): void => void writeSync(1, `${JSON.stringify(said)}\n`);

const LIMITS = limits({ windowTarget: 50, windowRows: 10, reconcileRows: 10 });

async function main(config: ApplierConfig): Promise<void> {
  const random = seeded(config.seed);
  const faults = [...config.faults];
  let armed = false;
  const interference = {
    withoutLock: config.withoutLock,
    at: (moment: 'before' | 'sent', side: 'source' | 'target', sql: string): void => {
      const fault = faults[0];
      if (!armed || fault === undefined || fault.moment !== moment || !isStep(fault.step, side, sql)) return;
      faults.shift();
      armed = false;
      say({ fault });
      process.kill(process.pid, fault.kind === 'kill' ? 'SIGKILL' : 'SIGSTOP');
    },
  };
  const options = { idleTimeout: config.idleTimeout, connections: 4 };
  const pair: Pair = {
    source: new FaultyDatabase({ side: 'source', url: config.sourceUrl, ...options }, interference),
    target: new FaultyDatabase({ side: 'target', url: config.targetUrl, ...options }, interference),
    control: config.control,
    sourceSchema: config.schema,
    targetSchema: config.schema,
  };
  const tracked = await loadTracked(pair);
  const mirror = new Mirror(pair, tracked);
  const copy = async (tenant: string): Promise<void> => {
    let windows = 0;
    await copyTable(pair, tracked, {
      tenant,
      round: 2 + random.below(50),
      tableId: random.pick(tablesOf(tracked, tenant)).id,
      limits: LIMITS,
      pace: () => Promise.resolve(0),
      progress: () => void (windows += 1),
      until: () => windows >= 2,
    });
  };
  const whenLocked = (): Promise<void> => sleep(random.below(3));
  const repair = (tenant: string): Promise<void> => {
    const keys = Array.from({ length: 4 }, () => encodeKey([String(1 + random.below(config.customers))]));
    return repairKeys(pair, tracked, tenant, tracked.byName('customers').id, keys);
  };
  for (let cycles = 1; ; cycles += 1) {
    const tenant = random.pick(config.tenants);
    const dice = random.below(100);
    armed ||= random.chance(0.5);
    try {
      if (dice < 40) await mirror.mirrorTenant(tenant, random.chance(0.5) ? null : random.below(20));
      else if (dice < 50) await mirror.mirrorTogether(config.tenants);
      else if (dice < 55) await mirror.reachTogether(config.tenants);
      // As after a commit: what the last batch was of is foreseen.
      else if (dice < 65)
        await mirror.reachTogether(random.chance(0.5) ? config.tenants : [tenant], whenLocked);
      else if (dice < 75) await mirror.mirrorTenant('_unresolved', null);
      else if (dice < 87) await copy(tenant);
      else if (dice < 96) await repair(tenant);
      else await purgeJournal(pair, config.idleTenant);
    } catch (error) {
      if (!isTransient(error)) say({ error: error instanceof Error ? (error.stack ?? '') : String(error) });
    }
    if (cycles % 20 === 0) say({ cycles });
    await sleep(random.below(10));
  }
}

await main(JSON.parse(process.argv[2]!) as ApplierConfig);

/**
 * What a look at a tenant's stage costs, against the same question asked of LaunchDarkly's server SDK (its test data
 * source, offline) and of OpenFeature's in-memory provider: memory against memory, for a hundred tenants in turns.
 */
import { readFile } from 'node:fs/promises';

import { init } from '@launchdarkly/node-server-sdk';
import { TestData } from '@launchdarkly/node-server-sdk/integrations';
import { InMemoryProvider, OpenFeature } from '@openfeature/server-sdk';

import { createRouter, type Router } from '../src/app/index.ts';
import { installControl } from '../src/db/control.ts';
import { Database } from '../src/db/database.ts';
import { admitStage } from '../src/db/stages.ts';
import { startStack } from '../src/stack/start.ts';
import { machine, median, rounded, type Result } from './result.ts';
import { inTurns, ratioOf } from './rounds.ts';

const ROUNDS = 7;
const LOOKS = 2_000_000;
const ASKED = 30_000;
const TENANTS = Array.from({ length: 100 }, (_, number) => `tenant-${number}`);
const NS_PER_MS = 1_000_000;

export async function run(): Promise<Result> {
  const stack = await startStack({ only: ['source', 'target'], isPrivate: true });
  const source = new Database({ side: 'source', url: stack.source.url() });
  const target = new Database({ side: 'target', url: stack.target.url() });
  await installControl(source, target, 'switchback');
  for (const tenant of TENANTS) await admitStage(source, 'switchback', tenant);
  const router = await createRouter({
    source: stack.source.url(),
    target: stack.target.url(),
    schema: { source: 'bench', target: 'bench' },
    service: 'bench',
  });
  const launchDarkly = await launchDarklyOf();
  await OpenFeature.setProviderAndWait(openFeatureOf());
  const openFeature = OpenFeature.getClient();
  try {
    const contestants = {
      flag: () => Promise.resolve(looks(router)),
      launchDarkly: () => asked((tenant) => launchDarkly.ask(tenant)),
      openFeature: () => asked((tenant) => openFeature.getStringValue('stage', '', { targetingKey: tenant })),
    };
    // Warm: the compiler has seen them all.
    await inTurns(contestants, 1);
    const ns = await inTurns(contestants, ROUNDS);
    return {
      name: 'flag',
      machine: machine(),
      versions: { node: process.version, ...(await peers()) },
      runs: ROUNDS,
      medians: Object.fromEntries(
        Object.entries(ns).map(([name, values]) => [`${name}Ns`, rounded(median(values))]),
      ),
      ratios: {
        vsLaunchDarkly: ratioOf(ns['launchDarkly']!, ns['flag']!),
        vsOpenFeature: ratioOf(ns['openFeature']!, ns['flag']!),
      },
    };
  } finally {
    launchDarkly.close();
    await OpenFeature.close();
    await router.close();
    await Promise.all([source.close(), target.close()]);
    await stack.stop();
  }
}

/** Nanoseconds of one look. The sum keeps the compiler from leaving the looks out. */
function looks(router: Router): number {
  let sum = 0;
  const began = performance.now();
  for (let count = 0; count < LOOKS; count += 1) sum += router.stage(TENANTS[count % TENANTS.length]!).length;
  const took = performance.now() - began;
  if (sum !== LOOKS * 'source-only'.length) throw new Error('a tenant was not in source-only');
  return (took * NS_PER_MS) / LOOKS;
}

async function asked(ask: (tenant: string) => Promise<string>): Promise<number> {
  let sum = 0;
  const began = performance.now();
  for (let count = 0; count < ASKED; count += 1) sum += (await ask(TENANTS[count % TENANTS.length]!)).length;
  const took = performance.now() - began;
  if (sum !== ASKED * 'source-only'.length) throw new Error('a tenant was not in source-only');
  return (took * NS_PER_MS) / ASKED;
}

async function peers(): Promise<Record<string, string>> {
  const text = await readFile(new URL('../package.json', import.meta.url), 'utf8');
  const { devDependencies } = JSON.parse(text) as { devDependencies: Record<string, string> };
  return {
    launchDarkly: devDependencies['@launchdarkly/node-server-sdk']!,
    openFeature: devDependencies['@openfeature/server-sdk']!,
  };
}

async function launchDarklyOf() {
  const data = new TestData();
  // No list of targets, through which it would have to search: its fastest case.
  await data.update(data.flag('stage').variations('source-only', 'read-target').fallthroughVariation(0));
  const client = init('sdk-key', {
    updateProcessor: data.getFactory(),
    sendEvents: false,
    diagnosticOptOut: true,
    logger: { error: console.error, warn: () => {}, info: () => {}, debug: () => {} },
  });
  await client.waitForInitialization({ timeout: 10 });
  return {
    ask: (key: string) => client.variation('stage', { kind: 'user', key }, '') as Promise<string>,
    close: () => client.close(),
  };
}

/** The tenant is all that its rule reads. */
function openFeatureOf(): InMemoryProvider {
  const flipped = new Set<unknown>();
  return new InMemoryProvider({
    stage: {
      variants: { sourceOnly: 'source-only', readTarget: 'read-target' },
      defaultVariant: 'sourceOnly',
      disabled: false,
      contextEvaluator: ({ targetingKey }) => (flipped.has(targetingKey) ? 'readTarget' : 'sourceOnly'),
    },
  });
}

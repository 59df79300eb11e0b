/** What can be known about the compose file without a container engine. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { ADDRESS_VARIABLES } from '../../src/stack/external.ts';
import { RETENTION_HOURS, SEARCH_ATTRIBUTES } from '../../src/stack/search-attributes.ts';

interface Service {
  readonly image?: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
}

const root = new URL('../../', import.meta.url);
const compose = parse(readFileSync(new URL('docker-compose.yml', root), 'utf8'), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
};
const services = Object.entries(compose.services);

function service(name: string): Service {
  return compose.services[name] ?? {};
}

function optionsOf(name: string, option: string): readonly string[] {
  const start = `--${option}=`;
  return (service(name).command ?? [])
    .filter((word) => word.startsWith(start))
    .map((word) => word.slice(start.length));
}

test('everything that a migration needs is there', () => {
  const names = services.map(([name]) => name).sort();

  expect(names).toEqual([
    'portal',
    'redis',
    'setup',
    'source',
    'target',
    'temporal',
    'temporal-settings',
    'worker',
  ]);
});

test('Temporal gets the search attributes and the retention of the code', () => {
  const attributes = optionsOf('temporal', 'search-attribute');

  expect(attributes).toEqual(Object.entries(SEARCH_ATTRIBUTES).map(([name, type]) => `${name}=${type}`));
  expect(optionsOf('temporal-settings', 'retention')).toEqual([`${RETENTION_HOURS}h`]);
});

test('both Temporal services run the version that the stack builds', () => {
  const pinned = /temporalio\/cli v(\S+)/.exec(
    readFileSync(new URL('deploy/temporal-cli/go.mod', root), 'utf8'),
  )?.[1];

  const images = ['temporal', 'temporal-settings'].map((name) => service(name).image);

  expect(images).toEqual([`temporalio/temporal:${pinned}`, `temporalio/temporal:${pinned}`]);
});

describe.each(services)('%s', (_name, { image, build, depends_on = {}, ports = [], volumes = [] }) => {
  test('has an image with a version, or a Dockerfile that exists', () => {
    const dockerfile = build === undefined ? null : new URL(`${build.context}/${build.dockerfile}`, root);

    expect(dockerfile === null ? /:\d/.test(image ?? '') : existsSync(fileURLToPath(dockerfile))).toBe(true);
  });

  test('waits for services that exist, in a state they can reach', () => {
    for (const [needed, { condition }] of Object.entries(depends_on)) {
      expect(Object.keys(compose.services)).toContain(needed);
      if (condition === 'service_healthy') expect(service(needed).healthcheck).toBeDefined();
    }
  });

  test('opens ports on this machine only, and uses declared volumes', () => {
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
    const used = volumes.map((volume) => volume.split(':')[0]);
    expect(Object.keys(compose.volumes)).toEqual(expect.arrayContaining(used));
  });
});

test.each(['worker', 'portal'])('the %s knows every address', (name) => {
  expect(Object.keys(service(name).environment ?? {}).sort()).toEqual(
    Object.values(ADDRESS_VARIABLES).sort(),
  );
});

test('every password can be set from the environment', () => {
  const passwords = ['source', 'target']
    .flatMap((name) => Object.entries(service(name).environment ?? {}))
    .filter(([key]) => key.endsWith('PASSWORD'));

  expect(passwords).toHaveLength(4);
  expect(passwords.filter(([, value]) => !/^\$\{SWITCHBACK_\w+:-\w+\}$/.test(value))).toEqual([]);
});

test('no two services open the same port', () => {
  const opened = services.flatMap(([, { ports = [] }]) => ports.map((port) => port.split(':')[1]));

  expect(new Set(opened).size).toBe(opened.length);
});

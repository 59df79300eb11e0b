/** Bad input and missing servers: one line that says what to do, the right exit code, nothing changed, no secret. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { describe, expect, it } from 'vitest';

import { stackInfo } from '../support/stack.ts';
import { useWorld } from '../support/world.ts';
import {
  expectGolden,
  shown,
  steady,
  switchback,
  switchbackHere,
  useFolder,
  writePlan,
  type Said,
} from './switchback.ts';

const world = useWorld(['acme', 'globex'], { rows: 5 });
const folder = useFolder();

const PASSWORD = 'tiger-7f3a';
/** Nothing listens on the discard port. */
const NOWHERE = '127.0.0.1:9';

const lines = (text: string): string[] =>
  text.split('\n').filter((line) => line !== '' && !line.startsWith('next: '));

async function plan(): Promise<string> {
  return writePlan(await folder(), world().plan);
}

async function names(): Promise<Record<string, string>> {
  const { plan: given } = world();
  return {
    [await folder()]: '<folder>',
    [given.name]: '<plan>',
    [given.source.schema]: '<schema>',
    [given.control.schema]: '<control>',
  };
}

describe('words that are wrong', () => {
  const WRONG: readonly (readonly string[])[] = [
    ['statsu'],
    ['rolback', 'acme'],
    ['pause'],
    ['pause', 'acme'],
    ['pause', 'acme', '--reason', ' '],
    ['pause', 'acme', '--reason', 'x', '--actor', ''],
    ['pause', 'acme', '--raeson', 'x'],
    ['pause', 'acme', 'globex', '--reason', 'x'],
    ['pause', 'acme', '--reason', 'x', '--expect-phase', 'shadows'],
    ['waive', 'acme', '--gate', 'soak', '--until', 'soon', '--reason', 'x'],
    ['waive', 'acme', '--gate', 'soak', '--until', '2020-01-01', '--reason', 'x'],
    ['waive', 'acme', '--gate', 'soak', '--until', '9999d', '--reason', 'x'],
    ['waive', 'acme', '--reason', 'x'],
    ['set-pace', 'acme', '--rows-per-second', '-1', '--reason', 'x'],
    ['set-pace', 'acme', '--reason', 'x'],
    ['abort', 'acme', '--reason', 'x'],
    ['rollback', '--reason', 'x'],
    ['rollback', 'acme', 'globex', '--reason', 'x'],
    ['rollback', '--direct', '--reason', 'x'],
    ['repair', 'acme', '--drift', '0', '--reason', 'x'],
    ['start', 'acme'],
    ['install'],
    ['worker', '--data-slots', 'many'],
    ['plan'],
    ['plan', 'chekc'],
    ['check'],
    ['list'],
    ['stop', 'acme'],
    ['fleet', 'list'],
    ['fleet', 'zzz'],
  ];

  it('are one line and exit 2, and change nothing', async () => {
    const env = { SWITCHBACK_PLAN: await plan() };
    const before = await control();

    const said: Said[] = [];
    for (const words of WRONG) said.push(await switchbackHere(words, env));

    const changed = await names();
    await expectGolden(
      'wrong-words.txt',
      steady(said.map((one, index) => shown(WRONG[index]!, one)).join('\n'), changed),
    );
    for (const [index, one] of said.entries()) {
      expect(one.code, WRONG[index]!.join(' ')).toBe(2);
      expect(lines(one.stderr), WRONG[index]!.join(' ')).toHaveLength(1);
      expect(one.stdout).toBe('');
    }
    expect(await control()).toEqual(before);
  }, 180_000);

  it('are one object with --json', async () => {
    const said = await switchback(['pause', 'acme', '--json'], { cwd: await folder() });

    expect(said).toMatchObject({ code: 2, stderr: '' });
    expect(JSON.parse(said.stdout)).toEqual({
      error: {
        kind: 'usage',
        code: 2,
        message: expect.stringContaining('--reason') as unknown,
        problems: [],
        next: [],
      },
    });
  });

  it('name the tenant that was meant, exit 3', async () => {
    const file = await plan();

    const said = await switchback(['start', 'acmee', '--plan', file, '--reason', 'x']);

    expect(said).toMatchObject({
      code: 3,
      stderr: `error: the plan ${world().plan.name} has no tenant acmee; did you mean acme?\n`,
    });
  });
});

describe('a plan that is wrong', () => {
  it('is said problem by problem, exit 2', async () => {
    const file = join(await folder(), 'wrong.yaml');
    await writeFile(
      file,
      `name: sms\nsource: { urlEnv: "mysql://root:${PASSWORD}@db/", schema: a }\ntarget: { urlEnv: TARGET, schema: b }\ntables: { messages: { tenant: { colum: tenant } } }\ndurations: { soak: soon }\n`,
    );

    const said = await switchback(['plan', 'check', '--plan', file]);

    expect(said.code).toBe(2);
    expect(said.all).not.toContain(PASSWORD);
    await expectGolden('wrong-plan.txt', steady(said.all, await names()));
  });

  it('is named when it does not exist', async () => {
    const said = await switchback(['status', '--plan', '/nowhere/plan.yaml']);

    expect(said).toMatchObject({
      code: 2,
      stdout: '',
      stderr:
        'plan: "/nowhere/plan.yaml" does not exist; name one with --plan or in SWITCHBACK_PLAN; `switchback plan example` prints one to begin with\n',
    });
  });

  it('names every variable that is not set', async () => {
    const said = await switchback(['status', '--plan', await plan()], {
      env: { WORLD_SOURCE: undefined, WORLD_TARGET: '' },
    });

    expect(said.code).toBe(2);
    expect(lines(said.stderr)).toHaveLength(2);
  });

  it('is not installed while a problem is in the way', async () => {
    const { plan: given, pair } = world();
    const fresh = { ...given, name: 'not-installed', control: { schema: `${given.control.schema}_x` } };
    const tables = [
      ...given.tables,
      { name: 'nowhere', tenancy: { kind: 'column', column: 'tenant_id' } as const, time: null },
    ];
    const file = await writePlan(await folder(), { ...fresh, tables }, 'blocked.yaml');

    const said = await switchback(['install', '--plan', file, '--reason', 'x']);

    expect(said.code).toBe(2);
    expect(said.stderr).toContain('nothing was installed: ');
    const found = await pair.source.rows(
      `SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '${fresh.control.schema}'`,
    );
    expect(found).toEqual([]);
  });
});

describe('a server that is away', () => {
  const withPassword = (url: string): string => {
    const changed = new URL(url);
    changed.password = PASSWORD;
    return changed.href;
  };

  it('is named with its address and what to start, exit 7', async () => {
    const file = await plan();
    const away = { WORLD_SOURCE: `mysql://root:${PASSWORD}@${NOWHERE}/` };
    const denied = { WORLD_SOURCE: withPassword(stackInfo().sourceUrl) };
    const noTemporal = { TEMPORAL_ADDRESS: NOWHERE };
    const rows = [
      [['status'], away],
      [['why', 'acme'], away],
      [['rollback', 'acme', '--direct', '--reason', 'x'], away],
      [['flags'], denied],
      [['start', 'acme', '--reason', 'x'], noTemporal],
      [['rollback', 'acme', '--reason', 'x'], noTemporal],
      [['pause', 'acme', '--reason', 'x'], noTemporal],
      [['history', 'export', 'acme'], noTemporal],
      [['verify', 'acme', '--full'], { WORLD_TARGET: `mysql://root:${PASSWORD}@${NOWHERE}/` }],
    ] as const;

    const texts: string[] = [];
    for (const [words, env] of rows) {
      const said = await switchback([...words, '--plan', file], { env });
      expect(said.code, words.join(' ')).toBe(7);
      expect(lines(said.stderr), said.stderr).toHaveLength(1);
      expect(said.all).not.toContain(PASSWORD);
      texts.push(shown(words, said));
    }

    await expectGolden('away.txt', steady(texts.join('\n'), await names()));
  }, 180_000);

  it('is Redis: said with its address, and no error', async () => {
    const env = { WORLD_REDIS: `redis://:${PASSWORD}@${NOWHERE}` };

    const said = await switchback(['plan', 'check', '--plan', await plan()], { env });

    expect(said.code, said.all).toBe(0);
    expect(said.all).not.toContain(PASSWORD);
    expect(said.stdout).toContain(
      `Redis at ${NOWHERE} cannot be reached; start it, or correct WORLD_REDIS (on this machine: npm run stack)`,
    );
  });

  it('shows no password with --json either', async () => {
    const env = { WORLD_SOURCE: `mysql://root:${PASSWORD}@${NOWHERE}/` };

    const said = await switchback(['status', '--json', '--plan', await plan()], { env });

    expect(said).toMatchObject({ code: 7, stderr: '' });
    expect(said.stdout).not.toContain(PASSWORD);
    expect(JSON.parse(said.stdout)).toMatchObject({ error: { kind: 'unreachable', code: 7 } });
  });
});

describe('a Temporal cluster that is not ready', () => {
  const inNamespace = async (namespace: string) => {
    const { plan: given } = world();
    return writePlan(await folder(), { ...given, temporal: { namespace } }, `${namespace}.yaml`);
  };

  it('is told which namespace to create, exit 3', async () => {
    const said = await switchback(['start', 'acme', '--reason', 'x', '--plan', await inNamespace('nowhere')]);

    expect(said.code, said.all).toBe(3);
    expect(said.stderr).toContain('temporal operator namespace create --namespace nowhere --retention 2160h');
  });

  it.skipIf(stackInfo().temporalBinary === null)(
    'is told which search attributes to create, exit 2',
    async () => {
      const { temporalBinary, temporalAddress } = stackInfo();
      const namespace = world().plan.name;
      const create = [
        'operator',
        'namespace',
        'create',
        '--namespace',
        namespace,
        '--address',
        temporalAddress,
      ];
      await promisify(execFile)(temporalBinary!, create);
      const file = await inNamespace(namespace);

      const check = await switchback(['plan', 'check', '--plan', file]);
      const start = await switchback(['start', 'acme', '--reason', 'x', '--plan', file]);

      for (const said of [check, start]) {
        expect(said.code, said.all).toBe(2);
        expect(said.stderr).toContain(
          `temporal operator search-attribute create --namespace ${namespace} --name SwitchbackTenant --type Keyword`,
        );
      }
    },
  );
});

it('says that nothing is installed, and the command', async () => {
  const { plan: given } = world();
  const file = await writePlan(
    await folder(),
    { ...given, control: { schema: `${given.control.schema}_y` } },
    'fresh.yaml',
  );

  const said = await switchback(['status', '--plan', file]);

  expect(said.code).toBe(3);
  expect(said.stderr).toContain('install --reason');
});

/** What a wrong word must leave as it was. */
async function control(): Promise<unknown> {
  const { pair, plan: given } = world();
  const counts = ['migration', 'stage', 'audit'].map(
    (name) => `(SELECT COUNT(*) FROM \`${given.control.schema}\`.${name}) AS ${name}`,
  );
  return pair.source.rows(`SELECT ${counts.join(', ')}`);
}

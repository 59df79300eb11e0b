/** What a person at a terminal sees: a reason asked for, colours where they are wanted, a picture drawn in place. */
import { fileURLToPath } from 'node:url';

import { beforeAll, describe, expect, it, vi } from 'vitest';

import { main } from '../../src/cli/program.ts';
import { admitTenants } from '../../src/db/control.ts';
import { admitStage, flipStage } from '../../src/db/stages.ts';
import { hasTerminal, inTerminal } from '../support/pty.ts';
import { useWorld } from '../support/world.ts';
import { switchback, switchbackRunning, useFolder, writePlan } from './switchback.ts';

const world = useWorld(['acme', 'bee'], { rows: 3 });
const folder = useFolder();
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const TSX = import.meta.resolve('tsx');

let plan = '';

beforeAll(async () => {
  const { pair, plan: given } = world();
  plan = await writePlan(await folder(), given);
  for (const [tenant, phase, mode] of [['acme', 'ramp', 'running'], ['bee', 'shadow', 'stopped']] as const) {
    await admitStage(pair.source, pair.control, tenant);
    await admitTenants(pair.target, pair.control, [tenant, '_unresolved']);
    await flipStage(pair.source, pair.control, {
      tenant, to: phase === 'ramp' ? 'read-target' : 'shadow-read', from: ['source-only'], expectEpoch: null, actor: 'test', reason: 'test', requestId: null,
    });
    await pair.source.run(
      `INSERT INTO \`${pair.control}\`.migration (tenant, phase, mode, reason, since, run_id, wave, started_at, backfill_round) VALUES (?, ?, ?, NULL, NOW(6), 'run', 'first', NOW(6), 1)`,
      [tenant, phase, mode],
    );
  }
  await pair.target.run(
    `INSERT INTO \`${pair.control}\`.backfill_cursor (tenant, table_id, part, round, copied_rows, estimated_rows, finished, updated_at) VALUES ('bee', 1, 0, 1, 50, 100, 0, NOW(6)), ('bee', 2, 0, 1, 0, 0, 1, NOW(6))`,
  );
}); // prettier-ignore

const typed = (...words: string[]): string =>
  [process.execPath, '--import', TSX, MAIN, ...words, '--plan', plan].join(' ');

const audited = async (): Promise<unknown> => {
  const { pair } = world();
  const [row] = await pair.source.rows(
    `SELECT actor, reason FROM \`${pair.control}\`.audit WHERE tenant = 'acme' ORDER BY id DESC LIMIT 1`,
  );
  return row;
};

describe('a change without a reason', () => {
  it('is an error where nobody can be asked, exit 2, and changes nothing', async () => {
    const before = await audited();

    const said = await switchback(['rollback', 'acme', '--direct', '--plan', plan]);

    expect(said).toMatchObject({
      code: 2,
      stdout: '',
      stderr: 'error: rollback needs --reason "..."; it is kept in the audit\n',
    });
    expect(await audited()).toEqual(before);
  });

  it.skipIf(!hasTerminal)(
    'is asked for it on a terminal, and whoever presses Enter alone changes nothing',
    async () => {
      const before = await audited();

      const screen = await inTerminal(typed('rollback', 'acme', '--direct'), {
        answers: [['Reason (kept in the audit): ', '\r']],
      });

      expect(screen).toContain('needs --reason');
      expect(screen).toContain('[exit 2]');
      expect(await audited()).toEqual(before);
    },
  );

  it.skipIf(!hasTerminal)('keeps what was answered, with the actor that single sign-on gave', async () => {
    const screen = await inTerminal(typed('rollback', 'acme', '--direct'), {
      env: { SWITCHBACK_ACTOR: 'ann@example.org' },
      answers: [['Reason (kept in the audit): ', 'errors in the portal\r']],
    });

    expect(screen).toContain('acme: reads come from the source');
    expect(screen).toContain('[exit 0]');
    expect(await audited()).toEqual({ actor: 'ann@example.org', reason: 'errors in the portal' });
  });
});

const RED = '\u001B[31m';

describe('colours', () => {
  const status = (env: Record<string, string | undefined>) => switchback(['status', '--plan', plan], { env });

  it('are left out where nobody looks, and where NO_COLOR says so', async () => {
    for (const env of [
      { NO_COLOR: undefined },
      { NO_COLOR: '1', FORCE_COLOR: '1' },
      { NO_COLOR: undefined, FORCE_COLOR: '0' },
    ])
      expect((await status(env)).all).not.toMatch(/(?!\n)\p{Cc}/u);
  });

  it('are there where FORCE_COLOR asks for them', async () => {
    expect((await status({ NO_COLOR: undefined, FORCE_COLOR: '1' })).stdout).toContain(`${RED}stopped`);
  });

  it.skipIf(!hasTerminal)('are there on a terminal, unless NO_COLOR is set', async () => {
    const bare = { NO_COLOR: '', FORCE_COLOR: '' };
    expect(await inTerminal(typed('status'), { env: bare })).toContain(`${RED}stopped`);
    expect(await inTerminal(typed('status'), { env: { ...bare, NO_COLOR: '1' } })).not.toContain('\u001B[3');
    expect(await inTerminal(typed('statsu'), { env: bare })).toContain(`${RED}error:`);
  });
});

describe('status --watch', () => {
  it('draws bars, what is left, and whoever is stopped first', async () => {
    let drawn = '';
    const stdout = { isTTY: true, columns: 200, rows: 40, write: (text: string) => (drawn += text) };
    const env = { ...process.env, NO_COLOR: '1', SWITCHBACK_PLAN: plan };

    expect(await main(['status'], { stdout, stderr: { write: () => {} }, stdin: {}, env })).toBe(0);

    const [summary, head, first] = drawn.split('\n');
    expect(summary).toMatch(/^\[[#-]{24}\] 1 of 2 tenants in ramp; 1 stopped, 1 running$/);
    expect(head).toMatch(/^TENANT .* COPIED .* ROWS\/S +ETA /);
    expect(first).toMatch(/^bee +shadow +stopped .*\[#{6}-{6}\] 50\/100 \(50 %\), 1\/2 tables/);
  });

  it.skipIf(!hasTerminal)('redraws in place until Ctrl-C', async () => {
    const screen = await inTerminal(typed('status', '--watch'), {
      env: { NO_COLOR: '1' },
      // The second picture begins where the first one did.
      answers: [['F\u001B[0J', '\u0003']],
    });

    expect(screen).toContain('F\u001B[0J');
    expect(screen).toContain('[exit 0]');
  });

  it('is a line for each change where it is no terminal', async () => {
    const { pair } = world();
    const watching = switchbackRunning(['status', '--watch', '--plan', plan]);
    let text = '';
    watching.child.stdout.on('data', (more: string) => (text += more));
    const shows = (part: string): Promise<void> =>
      vi.waitFor(() => expect(text).toContain(part), { timeout: 60_000, interval: 50 });
    await shows('bee: shadow, stopped');
    await pair.source.run(`UPDATE \`${pair.control}\`.migration SET mode = 'paused' WHERE tenant = 'bee'`);
    await shows('bee: shadow, paused');
    watching.child.kill('SIGINT');

    expect((await watching.ended).code).toBe(0);
    const lines = text.trimEnd().split('\n');
    expect(lines.filter((line) => line.includes('acme: '))).toHaveLength(1);
    expect(lines.filter((line) => line.includes('bee: '))).toHaveLength(2);
    for (const line of lines) expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z /);
    expect(text).not.toMatch(/(?!\n)\p{Cc}/u);
  });
});

/** Checks an export: sums, names, whole chains, and a replay on the code of today. */
import { resolve } from 'node:path';

import type { Entry } from '../history/archive.ts';
import type { Finding, Intact } from '../history/verify.ts';
import type { Handler } from './commands.ts';
import { CliFailure } from './exit.ts';
import { folderOf } from './history-export.ts';
import { oneLine } from './terminal.ts';

export const run: Handler = async (context, input) => {
  const given = input.text('from');
  const folder = given ?? (await folderOf(context, null));
  const tenant = input.word(0);
  const [{ Archive }, { holes, lookAt }] = await Promise.all([
    import('../history/archive.ts'),
    import('../history/verify.ts'),
  ]);
  const archive = await Archive.open(resolve(folder));
  const entries = archive.entries.filter((entry) => tenant === null || entry.tenant === tenant);
  if (entries.length === 0) {
    const what = tenant === null ? 'no export' : `no run of ${oneLine(tenant)}`;
    throw new CliFailure('not-found', `there is ${what} in ${folder}; export first, or name another folder`, {
      next: [context.line('history', 'export', ...input.words)],
    });
  }
  const findings: Finding[] = [];
  async function* intact(): AsyncGenerator<Intact> {
    for (const entry of entries) {
      const looked = await lookAt(archive, entry);
      if ('finding' in looked) findings.push(looked.finding);
      else yield looked.intact;
    }
  }
  const replays = !input.has('sumsOnly');
  findings.push(...(await (replays ? replayed(intact()) : drained(intact()))), ...holes(archive, entries));
  const unnamed = tenant === null ? await archive.unnamed() : [];
  return {
    kind: findings.length === 0 ? 'ok' : 'drift',
    data: {
      folder,
      runs: entries.length,
      ...totals(entries),
      replayed: replays,
      findings,
      unnamed,
      torn: archive.torn,
    },
    lines: [
      `${folder}: ${entries.length} runs, ${totals(entries).events} events; ${
        findings.length === 0
          ? `every sum fits${replays ? ' and all replay on this version' : ''}.`
          : `${findings.length} ${findings.length === 1 ? 'does' : 'do'} not hold:`
      }`,
      ...findings.map(({ file, problem, why }) => `  ${file}: ${problem}: ${oneLine(why)}`),
      ...unnamed.map((file) => `  note: ${file} is in no line of the manifest: an export was cut off`),
      ...(archive.torn === 0
        ? []
        : [`  note: ${archive.torn} lines of the manifest are cut off; the next export writes them again`]),
    ],
    next: findings.some(({ problem }) => problem !== 'does-not-replay' && problem !== 'hole')
      ? [context.line('history', 'export', ...input.words, '--out', folder)]
      : [],
  };
};

const totals = (entries: readonly Entry[]) => ({
  events: entries.reduce((sum, { events }) => sum + events, 0),
});

async function replayed(histories: AsyncGenerator<Intact>): Promise<Finding[]> {
  const [{ replay }, { installRuntime }, { createLog }] = await Promise.all([
    import('../replay.ts'),
    import('../worker.ts'),
    import('../log.ts'),
  ]);
  // The SDK logs a failed replay at length; what it says is among the findings.
  installRuntime(createLog('replay', 'silent'));
  return replay(histories);
}

async function drained(histories: AsyncGenerator<Intact>): Promise<Finding[]> {
  for await (const _ of histories);
  return [];
}

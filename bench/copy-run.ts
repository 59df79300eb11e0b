/**
 * A copy in a process of its own: what a start costs is counted, as it is for the peers, and a writer beside it is
 * measured by an event loop that copies nothing.
 */
import { fileURLToPath } from 'node:url';

import { copyTables, tablesOf } from '../src/db/backfill.ts';
import { selectImage } from '../src/db/images.ts';
import { loadRows } from '../src/db/load.ts';
import { MirrorLoop } from '../src/db/mirror-loop.ts';
import { loadTracked, type Pair } from '../src/db/tracked.ts';
import { runCommand } from '../src/stack/run-command.ts';
import { LIMITS, openPair, type Servers } from './servers.ts';

interface Job {
  readonly source: string;
  readonly target: string;
  /** `own`: the product's; `share-lock`: our own little comparison, which holds the source rows until the target has them. */
  readonly copy: 'own' | 'share-lock';
  readonly tenants: readonly string[];
  readonly round: number;
  /** Stops after so long; null: at the end of the table. */
  readonly seconds: number | null;
}

export interface Copied {
  readonly rows: number;
  readonly seconds: number;
  /** That this process kept busy, on average. */
  readonly cores: number;
}

/** @param onAt hears the last key of each window of a share-lock copy */
export async function copyInProcess(
  { source, target }: Servers,
  job: Pick<Job, 'copy' | 'tenants' | 'round' | 'seconds'>,
  onAt: (key: number) => void = () => {},
): Promise<Copied> {
  const full: Job = { ...job, source: source.url(), target: target.url() };
  const said = await runCommand({
    command: process.execPath,
    args: ['--import', 'tsx', fileURLToPath(import.meta.url), JSON.stringify(full)],
    onLine: (line) => {
      if (line.startsWith('at ')) onAt(Number(line.slice(3)));
    },
  });
  return JSON.parse(said.trim().split('\n').at(-1)!) as Copied;
}

/** A worker copies several tenants of a wave at once; it has 8 slots, two cores are full with fewer. */
const TENANTS_AT_ONCE = 4;

async function own(pair: Pair, { tenants, round }: Job, until: () => boolean): Promise<number> {
  const tracked = await loadTracked(pair);
  const open = [...tenants];
  let rows = 0;
  const slot = async (): Promise<void> => {
    for (let tenant = open.shift(); tenant !== undefined; tenant = open.shift()) {
      const tables = await copyTables(pair, tracked, tablesOf(tracked, tenant), {
        tenant,
        round,
        limits: LIMITS,
        pace: () => Promise.resolve(LIMITS.rowsPerSecond),
        progress: () => {},
        until,
      });
      rows += tables.reduce((sum, table) => sum + table.copiedRows, 0);
    }
  };
  await Promise.all(Array.from({ length: TENANTS_AT_ONCE }, slot));
  return rows;
}

/** Windows of our size, as many at once as ours, rows locked on the source until the target has committed. */
async function shareLock(pair: Pair, _: Job, until: () => boolean): Promise<number> {
  const tracked = await loadTracked(pair);
  const { id, table } = tracked.all()[0]!;
  const [edge] = await pair.source.rows(`SELECT MAX(id) AS n FROM \`${table.schema}\`.\`${table.name}\``);
  const step = Math.ceil(Number(edge!['n']) / LIMITS.backfillParallel);
  const lane = async (from: number): Promise<number> => {
    let rows = 0;
    for (let at = from; at < from + step && !until(); at += LIMITS.windowRows) {
      console.log(`at ${at}`);
      rows += await pair.source.transaction(async (source) => {
        const images = await source.raw(
          `SELECT ${selectImage(table, 't')} FROM \`${table.schema}\`.\`${table.name}\` t WHERE id > ${at} AND id <= ${Math.min(at + LIMITS.windowRows, from + step)} FOR SHARE`,
        );
        return pair.target.transaction((target) =>
          loadRows(target, tracked.target(id).table, [images], 'load-data'),
        );
      });
    }
    return rows;
  };
  const lanes = Array.from({ length: LIMITS.backfillParallel }, (_unused, index) => lane(index * step));
  return (await Promise.all(lanes)).reduce((sum, rows) => sum + rows, 0);
}

const COPIES = { own, 'share-lock': shareLock } as const;

async function main(job: Job): Promise<void> {
  const pair = openPair(job.source, job.target);
  const loop = new MirrorLoop(pair, {
    info: () => {},
    warn: (message, fields) => console.error(message, fields),
    published: () => Promise.resolve(),
  });
  if (job.seconds !== null && job.copy === 'own') loop.start();
  const [used, started] = [process.cpuUsage(), performance.now()];
  const until = (): boolean => job.seconds !== null && performance.now() - started > job.seconds * 1_000;
  const rows = await COPIES[job.copy](pair, job, until);
  const seconds = (performance.now() - started) / 1_000;
  const { user, system } = process.cpuUsage(used);
  await loop.stop();
  await Promise.all([pair.source.close(), pair.target.close()]);
  const cores = (user + system) / 1e6 / seconds;
  console.log(JSON.stringify({ rows, seconds, cores } satisfies Copied));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(JSON.parse(process.argv[2]!) as Job);

/**
 * What a server says about its load: one row a signal. A reading is a number, absent (the server has no such
 * thing, as Aurora has no redo log), or unreadable with the reason, which never
 * counts as calm.
 */
import type { Limits, ThrottleLimits } from '../domain/plan.ts';
import { THROTTLE } from '../domain/plan.ts';
import type { Database, Session } from './database.ts';
import { beat, readLag } from './replica-lag.ts';
import { literal, list, qualified } from './sql.ts';

/** Who is held back: the copy writes to the target, a reconcile only reads. */
export type Use = 'copy' | 'reconcile';

export interface Unreadable {
  readonly unreadable: string;
}
export type Reading = number | null | Unreadable;

/** One look at one side. */
export interface SideStatus {
  /** Monotonic; a new look has a new one. */
  readonly look: number;
  readonly status: ReadonlyMap<string, string> | Unreadable;
  readonly historyList: Reading;
  /** Of the replica that is furthest behind, in milliseconds. */
  readonly replicaLag: Reading;
}

export interface Signal {
  readonly name: string;
  readonly holds: readonly Use[];
  /** 0: not watched. */
  readonly bound: (limits: Limits) => number;
  /** Field of the plan that holds the bound. */
  readonly field: string;
  readonly read: (side: SideStatus) => Reading;
  readonly says: (value: number, bound: number) => string;
  /** Rising in three looks one after the other, over half the bound, is reason enough. */
  readonly watchesRise: boolean;
  /** What was ever written, in the unit of the bound: a server at rest may keep the reading high for hours. */
  readonly written: ((side: SideStatus) => Reading) | null;
  /** Is it worth a word that a server has no such thing? */
  readonly tellsAbsence: boolean;
  readonly remedy: string;
}

const throttle = (limits: Limits): ThrottleLimits => limits.throttle ?? THROTTLE;
const BOTH: readonly Use[] = ['copy', 'reconcile'];

// prettier-ignore
export const SIGNALS: readonly Signal[] = [
  { name: 'Threads_running', holds: BOTH, field: 'limits.threadsRunning', watchesRise: false, written: null, tellsAbsence: true,
    bound: ({ threadsRunning }) => threadsRunning, read: (side) => required(side, 'Threads_running'),
    says: (value, bound) => `has ${value} threads running, more than ${bound}`,
    remedy: 'let its user run SHOW GLOBAL STATUS' },
  { name: 'history list length', holds: BOTH, field: 'limits.throttle.historyList', watchesRise: true, written: null, tellsAbsence: true,
    bound: (limits) => throttle(limits).historyList, read: ({ historyList }) => historyList,
    says: (value, bound) => value > bound
      ? `has ${value} changes that purge has not removed, more than ${bound}: is a transaction open for long?`
      : `has ${value} changes that purge has not removed, and they grow: is a transaction open for long?`,
    remedy: 'GRANT PROCESS ON *.* TO its user' },
  { name: 'redo log', holds: ['copy'], field: 'limits.throttle.redoPercent', watchesRise: false, written: (side) => redoShare(side, 2), tellsAbsence: true,
    bound: (limits) => throttle(limits).redoPercent, read: redoPercent,
    says: (value, bound) => `has filled ${value} % of its redo log, more than ${bound} %`,
    remedy: 'let its user run SHOW GLOBAL STATUS' },
  { name: 'replica lag', holds: ['copy'], field: 'limits.throttle.replicaLag', watchesRise: false, written: null, tellsAbsence: false,
    bound: (limits) => throttle(limits).replicaLag, read: ({ replicaLag }) => replicaLag,
    says: (value, bound) => `has a replica that is ${value} ms behind, more than ${bound} ms`,
    remedy: 'GRANT SELECT on the control schema to the user of the replica, or take the replica out of the plan' },
];

export const isUnreadable = (reading: unknown): reading is Unreadable =>
  typeof reading === 'object' && reading !== null && 'unreadable' in reading;

/** In use, all there is, ever written. */
const REDO = [
  ['Innodb_redo_log_logical_size', 'Innodb_redo_log_capacity_resized', 'Innodb_redo_log_current_lsn'], // MySQL 8.0.30
  ['Innodb_checkpoint_age', 'Innodb_checkpoint_max_age', 'Innodb_lsn_current'], // MariaDB
] as const;
const STATUS = ['Threads_running', ...REDO.flat()];

function required({ status }: SideStatus, name: string): Reading {
  if (isUnreadable(status)) return status;
  const value = status.get(name);
  return value === undefined ? { unreadable: 'the server does not say it' } : Number(value);
}

function redoPercent(side: SideStatus): Reading {
  const used = redoShare(side, 0);
  return typeof used === 'number' ? Math.round(used) : used;
}

/** A value of REDO as percent of the log. */
function redoShare({ status }: SideStatus, which: 0 | 2): Reading {
  if (isUnreadable(status)) return status;
  const names = REDO.find(([used, all]) => status.has(used) && Number(status.get(all)) > 0);
  const value = names === undefined ? undefined : status.get(names[which]);
  if (names === undefined || value === undefined) return null;
  return (100 * Number(value)) / Number(status.get(names[1]));
}

/** A server, and the replicas of it that the plan names. */
export interface Watched {
  readonly db: Database;
  readonly replicas: readonly Database[];
  readonly control: string;
}

let looks = 0;

/**
 * Never fails: what can't be read says so. One session, two statements.
 *
 * @param beats writes a heartbeat: replicas are measured by it, and on a quiet server purge goes on only when
 * somebody commits
 */
export async function lookAt(watched: Watched, beats: boolean): Promise<SideStatus> {
  const seen = await watched.db
    .session(async (session) => {
      const found = await readAll(session, watched, beats);
      // A grant is seen by new sessions only.
      if (Object.values(found).some(isUnreadable)) session.destroy();
      return found;
    })
    .catch((error: unknown) => ({
      status: broken(error),
      historyList: broken(error),
      replicaLag: broken(error),
    }));
  looks += 1;
  return { look: looks, ...seen };
}

const broken = (error: unknown): Unreadable => ({ unreadable: (error as Error).message });

async function readAll(
  session: Session,
  { db, replicas, control }: Watched,
  beats: boolean,
): Promise<Omit<SideStatus, 'look'>> {
  const table = qualified(control, 'heartbeat');
  const lag = async (): Promise<Reading> => {
    if (replicas.length > 0) return readLag(session, db, replicas, table);
    if (beats) await beat(session, table);
    return null;
  };
  return {
    status: await readStatus(session).catch(broken),
    historyList: await readHistoryList(session).catch(broken),
    replicaLag: await lag().catch(broken),
  };
}

async function readStatus(session: Session): Promise<Map<string, string>> {
  const rows = await session.rows(
    `SHOW GLOBAL STATUS WHERE Variable_name IN (${list(STATUS.map((name) => literal(name)))})`,
  );
  return new Map(rows.map((row) => [row['Variable_name']!, row['Value']!]));
}

async function readHistoryList(session: Session): Promise<Reading> {
  // Its state is STATUS on MySQL, ENABLED on MariaDB.
  const [row] = await session.rows(
    "SELECT * FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len'",
  );
  if (row === undefined) return { unreadable: 'the server does not say it' };
  const isOff = row['STATUS'] === 'disabled' || row['ENABLED'] === '0';
  if (isOff) return { unreadable: "it is off: SET GLOBAL innodb_monitor_enable = 'trx_rseg_history_len'" };
  return Number(row['COUNT']);
}

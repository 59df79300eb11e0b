/**
 * The whole fleet in a few numbers, for whoever watches it: every worker reads the same from the control schemas. Bounded
 * statements: the journal is counted up to a limit, and of the audit only what is new is read.
 */
import type { DriftClass } from '../domain/drift.ts';
import { SECOND } from '../domain/duration.ts';
import { PHASES, type Mode, type Phase } from '../domain/phase.ts';
import { STAGES, UNRESOLVED, type Side, type Stage } from '../domain/stage.ts';
import type { Database } from './database.ts';
import { oldestOfEach } from './journal-rows.ts';
import { readProgressRows, type Activity } from './progress.ts';
import { qualified, tenantLiteral } from './sql.ts';
import type { Pair } from './tracked.ts';

export const JOURNAL_COUNTED = 100_000;
export const STOPPED_NAMED = 20;
/** A row of progress that is older belongs to no slice under way. */
const PROGRESS_FRESH = 15 * SECOND;
const AUDIT_BATCH = 50_000;

/** Why work waits, by what `status` says of it: the words are many, their kinds are few. */
export const WAITS = {
  unreadable: /^(source|target) hides /,
  threads: / threads running/,
  'history-list': /purge has not removed/,
  'redo-log': /redo log/,
  'replica-lag': / has a replica that is /,
  'slow-statements': / times as long as usual/,
  pace: /^pace of /,
  other: /^/,
} as const satisfies Readonly<Record<string, RegExp>>;

export interface Waiting {
  readonly activity: Activity;
  readonly side: Side | 'none';
  readonly reason: keyof typeof WAITS;
}

export interface DriftNumbers {
  readonly found: number;
  readonly open: number;
  readonly repaired: number;
}

export interface ControlNumbers {
  readonly phases: Readonly<Record<Phase, number>>;
  readonly modes: Readonly<Record<Mode, number>>;
  /** The longest stopped first. */
  readonly stopped: readonly { readonly tenant: string; readonly phase: string }[];
  readonly isFleetStopped: boolean;
  /** At most `JOURNAL_COUNTED`. */
  readonly journalRows: number;
  /** Of the oldest row of a tenant that is mirrored, in seconds, by the side that the tenant is read from. */
  readonly journalAge: Readonly<Record<Side, number>>;
  readonly backfill: { readonly copied: number; readonly estimated: number };
  readonly drift: Readonly<Record<DriftClass, DriftNumbers>>;
  readonly waiting: readonly Waiting[];
  readonly rowsPerSecond: Readonly<Record<Activity, number>>;
  readonly nodes: { readonly following: number; readonly behind: number };
}

type Row = Readonly<Record<string, string | null>>;

const number = (row: Row | undefined, column: string): number => Number(row?.[column] ?? 0);

export async function readControlNumbers({ source, target, control }: Pair): Promise<ControlNumbers> {
  const [migrations, stopped, fleet, [journal], ages, [copied], drift, progress, [nodes]] = await Promise.all(
    [
      source.rows(
        `SELECT phase, mode, COUNT(*) AS n FROM ${qualified(control, 'migration')} GROUP BY phase, mode`,
      ),
      source.rows(
        `SELECT tenant, phase FROM ${qualified(control, 'migration')} WHERE mode = 'stopped' ORDER BY since, tenant LIMIT ${STOPPED_NAMED}`,
      ),
      source.rows(`SELECT 1 FROM ${qualified(control, 'fleet')} WHERE mode = 'stopped'`),
      source.rows(
        `SELECT COUNT(*) AS n FROM (SELECT 1 FROM ${qualified(control, 'journal')} LIMIT ${JOURNAL_COUNTED}) j`,
      ),
      source.rows(journalAges(control)),
      target.rows(
        `SELECT SUM(copied_rows) AS copied, SUM(GREATEST(estimated_rows, copied_rows)) AS estimated FROM ${qualified(control, 'backfill_cursor')}`,
      ),
      source.rows(
        `SELECT class, SUM(found) AS found, SUM(open) AS open, SUM(repaired) AS repaired FROM (
         SELECT class, found, 0 AS open, 0 AS repaired FROM ${qualified(control, 'pass_drift')} UNION ALL
         SELECT class, 0, repaired_at IS NULL, repaired_at IS NOT NULL FROM ${qualified(control, 'drift')}) d GROUP BY class`,
      ),
      readProgressRows(source, control),
      source.rows(
        `SELECT SUM(n.version >= s.version) AS following, SUM(n.version < s.version) AS behind
       FROM ${qualified(control, 'node')} n, (SELECT COALESCE(MAX(version), 0) AS version FROM ${qualified(control, 'stage')}) s WHERE n.lease_until > NOW(6)`,
      ),
    ],
  );
  const working = progress.filter(({ ageMs }) => ageMs < PROGRESS_FRESH);
  const rate = (activity: Activity): number =>
    working.filter((row) => row.activity === activity).reduce((sum, row) => sum + row.rowsPerSecond, 0);
  const ofClass = (name: DriftClass): DriftNumbers => {
    const row = drift.find((each) => each['class'] === name);
    return { found: number(row, 'found'), open: number(row, 'open'), repaired: number(row, 'repaired') };
  };
  return {
    phases: counted(migrations, 'phase', Object.keys(PHASES) as Phase[]),
    modes: counted(migrations, 'mode', ['running', 'paused', 'stopped', 'waiting']),
    stopped: stopped.map((row) => ({ tenant: row['tenant']!, phase: row['phase']! })),
    isFleetStopped: fleet.length > 0,
    journalRows: number(journal, 'n'),
    journalAge: oldest(ages),
    backfill: { copied: number(copied, 'copied'), estimated: number(copied, 'estimated') },
    drift: { missing: ofClass('missing'), extra: ofClass('extra'), different: ofClass('different') },
    waiting: working.flatMap(({ activity, slow }) => (slow === null ? [] : [{ activity, ...kindOf(slow) }])),
    rowsPerSecond: { backfill: rate('backfill'), reconcile: rate('reconcile') },
    nodes: { following: number(nodes, 'following'), behind: number(nodes, 'behind') },
  };
}

const journalAges = (control: string): string =>
  `SELECT o.tenant, s.stage, TIMESTAMPDIFF(MICROSECOND, j.created_at, NOW(6)) / 1000000 AS age
   FROM ${oldestOfEach(control)} LEFT JOIN ${qualified(control, 'stage')} s ON s.tenant = o.tenant
   WHERE s.stage <> 'source-only' OR o.tenant = ${tenantLiteral(UNRESOLVED)}`;

function oldest(rows: readonly Row[]): Record<Side, number> {
  const ages = { source: 0, target: 0 };
  for (const row of rows) {
    const side = STAGES[(row['stage'] ?? 'source-only') as Stage].reads;
    ages[side] = Math.max(ages[side], number(row, 'age'));
  }
  return ages;
}

function counted<K extends string>(
  rows: readonly Row[],
  column: string,
  keys: readonly K[],
): Record<K, number> {
  const counts = Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
  for (const row of rows) counts[row[column] as K] += number(row, 'n');
  return counts;
}

export function kindOf(slow: string): Pick<Waiting, 'side' | 'reason'> {
  const [word] = slow.split(' ', 1);
  const side = word === 'source' || word === 'target' ? word : 'none';
  const reason = (Object.keys(WAITS) as (keyof typeof WAITS)[]).find((kind) => WAITS[kind].test(slow))!;
  return { side, reason };
}

/** Changes of stage, ever, by what they led from and to. */
export class StageChanges {
  readonly #source: Database;
  readonly #control: string;
  readonly #counts = new Map<string, { readonly from: string; readonly to: string; count: number }>();
  #upTo = '0';

  constructor({ source, control }: Pair) {
    this.#source = source;
    this.#control = control;
  }

  async read(): Promise<readonly { readonly from: string; readonly to: string; readonly count: number }[]> {
    const audit = qualified(this.#control, 'audit');
    for (;;) {
      const [end] = await this.#source.rows(
        `SELECT MAX(id) AS id FROM (SELECT id FROM ${audit} WHERE id > ${this.#upTo} ORDER BY id LIMIT ${AUDIT_BATCH}) a`,
      );
      const upTo = end?.['id'] ?? null;
      if (upTo === null) return [...this.#counts.values()];
      const rows = await this.#source.rows(
        `SELECT before_value, after_value, COUNT(*) AS n FROM ${audit} WHERE id > ${this.#upTo} AND id <= ${upTo} AND event = 'stage' GROUP BY before_value, after_value`,
      );
      for (const row of rows)
        this.#add(row['before_value'] ?? '', row['after_value'] ?? '', number(row, 'n'));
      this.#upTo = upTo;
    }
  }

  #add(from: string, to: string, count: number): void {
    const key = `${from} ${to}`;
    const known = this.#counts.get(key) ?? { from, to, count: 0 };
    known.count += count;
    this.#counts.set(key, known);
  }
}

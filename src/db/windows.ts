/**
 * Windows of a reconcile pass: half-open, without a gap, the first and the last open-ended, so that no row
 * can hide between or beyond them. By time, then key, where the plan names a column that holds; else by key.
 *
 * A window is bounded by rows of an index, in its order: holes in the ids, a hot instant and a tenant with
 * most of the rows make no window longer. Where no index finds the tenant's rows, the rows that are read
 * are counted, not those that are found. The backfill cuts its own windows: two pieces of code that
 * enumerate differently can't skip the same row.
 */
import { encodeKey } from '../domain/key.ts';
import { cheaperIndex } from './access-path.ts';
import { columnOf, type Column } from './catalog.ts';
import type { Database, Session } from './database.ts';
import { afterPlace, keyOfColumns, upToPlace } from './keys.ts';
import { fewThroughParents } from './few-rows.ts';
import { ident, list, qualified } from './sql.ts';
import { ownedBy, type TrackedTable } from './tenancy.ts';
import { timeIndex, timeRefusal, timeWalk } from './time-windows.ts';

/** `(from, to]`: places in the order of the walk; null: open. */
export interface Bounds {
  readonly from: string | null;
  readonly to: string | null;
}

export interface Cut {
  readonly to: string | null;
  /** By which the window's rows are read, on either side. */
  readonly index: string;
}

type Reader = Pick<Database | Session, 'rows'>;

export interface WindowCutter {
  readonly by: 'time' | 'key';
  /** Where a pass goes on; a place of another walk is none of this one: the table begins again. */
  readonly resume: (from: string | null) => string | null;
  /** The window of at most `rows` rows that begins at `from` and ends at `end` or before; `to` null: it is the last. */
  readonly cut: (source: Reader, from: string | null, rows: number, end?: string | null) => Promise<Cut>;
  readonly where: (bounds: Bounds) => string;
}

interface Walk {
  readonly by: WindowCutter['by'];
  /** What a bound of this walk starts with; nothing for a key, which starts with a digit. */
  readonly mark: string;
  /** Never NULL, never the same for two rows. */
  readonly columns: readonly Column[];
  readonly index: string;
  /** Does the index find the tenant's rows alone? */
  readonly own: boolean;
}

/** Rows of a child table that one window may hold, if they are all that the tenant has. */
const FEW = 5_000;

/** @param refused the time column is known to change: see `timeChanged` */
export function cutter(tracked: TrackedTable, tenant: string, refused = false): WindowCutter {
  const walk = (refused ? null : byTime(tracked)) ?? byKey(tracked);
  const { mark, columns } = walk;
  return {
    by: walk.by,
    resume: (from) => (from !== null && markOf(from) === mark ? from : null),
    async cut(source, from, rows, end = null) {
      if (from === null && end === null) {
        const few = await fewThroughParents(source, tracked, tenant, FEW);
        if (few !== null) return { to: null, index: few };
      }
      const to = (await endOf(source, { tracked, tenant, walk, bounds: { from, to: end }, rows })) ?? end;
      if (walk.by === 'time') return { to, index: walk.index };
      const range = between(columns, mark, { from, to });
      return { to, index: await cheaperIndex(source, tracked, tenant, { index: walk.index, range }) };
    },
    where: (bounds) => between(columns, mark, bounds),
  };
}

/** In the index on (tenant, time), to which InnoDB appends the key. */
function byTime(tracked: TrackedTable): Walk | null {
  const { table, tenancy, time } = tracked;
  if (time === null || tenancy.kind !== 'column' || timeRefusal(table, tenancy, time) !== null) return null;
  return {
    by: 'time',
    mark: `@${encodeKey([time])}`,
    columns: timeWalk(table, tenancy.column, time).map((name) => columnOf(table, name)),
    index: timeIndex(table, tenancy.column, time)!,
    own: true,
  };
}

/** On the primary key: in an index that leads with the tenant where there is one, else through the table. */
function byKey({ table, tenancy }: TrackedTable): Walk {
  const lead = tenancy.kind === 'column' ? tenancy.column : null;
  const names = table.primary.map(({ name }) => name);
  const rest = names.filter((name) => name !== lead);
  const found = table.indexes.find(
    ({ columns: [first, ...more], prefixed }) =>
      !prefixed && first === lead && more.every((name, place) => name === rest[place]),
  );
  const index = names[0] === lead ? 'PRIMARY' : (found?.name ?? 'PRIMARY');
  return {
    by: 'key',
    mark: '',
    columns: table.primary,
    index,
    own: lead !== null && (names[0] === lead || found !== undefined),
  };
}

const markOf = (place: string): string => (/^@(\d+):/.test(place) ? place.slice(0, markLength(place)) : '');

function markLength(place: string): number {
  const colon = place.indexOf(':');
  return colon + 1 + Number(place.slice(1, colon));
}

function between(columns: readonly Column[], mark: string, { from, to }: Bounds): string {
  const conditions = [
    ...(from === null ? [] : [afterPlace(columns, 't', from.slice(mark.length))]),
    ...(to === null ? [] : [upToPlace(columns, 't', to.slice(mark.length))]),
  ];
  return conditions.map((condition) => `(${condition})`).join(' AND ') || 'TRUE';
}

interface Start {
  readonly tracked: TrackedTable;
  readonly tenant: string;
  readonly walk: Walk;
  readonly bounds: Bounds;
  readonly rows: number;
}

async function endOf(source: Reader, { tracked, tenant, walk, bounds, rows }: Start): Promise<string | null> {
  const { columns, mark, index, own } = walk;
  const [row] = await source.rows(
    `SELECT ${keyOfColumns(columns, 't')} AS place FROM ${hinted(tracked, index)}
     WHERE ${own ? ownedBy(tracked, 't', tenant) : 'TRUE'} AND ${between(columns, mark, bounds)}
     ORDER BY ${list(columns.map(({ name }) => `t.${ident(name)}`))} LIMIT 1 OFFSET ${rows - 1}`,
  );
  return row === undefined ? null : mark + row['place']!;
}

const hinted = ({ table }: TrackedTable, index: string): string =>
  `${qualified(table.schema, table.name)} t FORCE INDEX (${ident(index)})`;

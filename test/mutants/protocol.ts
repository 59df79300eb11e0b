/** Mutants of the convergence protocol: locks, order, isolation, keys, triggers, verdict. */
import type { Mutant } from './mutant.ts';

const FINDINGS = 'test/db/protocol/findings.test.ts';
const SERVERS = 'test/db/protocol/findings-servers.test.ts';
const RECONCILE = 'test/db/reconcile.test.ts';

// prettier-ignore
export const PROTOCOL: readonly Mutant[] = [
  {
    name: 'the tenant lock is not taken',
    file: 'src/db/lock.ts', find: "ORDER BY tenant FOR UPDATE${skips ? ' SKIP LOCKED' : ''}`", put: 'ORDER BY tenant`',
    test: 'test/db/protocol/stress.test.ts', title: 'no row differs and no false drift is reported',
  },
  {
    name: 'a window of the copy does not share the tenant lock',
    file: 'src/db/lock.ts', find: ' FOR SHARE`', put: '`',
    test: 'test/db/backfill.test.ts', title: 'does not resurrect a row that is deleted while it is copied',
  },
  {
    name: 'the journal of a tenant is applied that somebody else has locked',
    file: 'src/db/converge.ts', find: '.filter(([tenant]) => locked.includes(tenant));', put: ';',
    test: 'test/db/mirror-together.test.ts', title: 'a tenant that somebody else has is left out',
  },
  {
    name: 'a tenant that was left out is said to be reached',
    file: 'src/db/mirror.ts', find: 'new Set(result.full ? [] : result.tenants)', put: 'new Set(tenants)',
    test: 'test/db/mirror-together.test.ts', title: 'a tenant that somebody else has is left out',
  },
  {
    name: 'a write joins a mirror that has read the journal already',
    file: 'src/app/mirror-hints.ts', find: '      upTo = lane.written;\n      lane.takesMore = false;', put: '      upTo = lane.written;',
    test: 'test/app/awaited.test.ts', title: 'what commits after it waits for the next',
  },
  {
    name: 'a mirror waits for a commit for as long as it takes',
    file: 'src/app/mirror-hints.ts', find: 'inTime(Promise.all(awaited), until - performance.now())', put: 'Promise.all(awaited)',
    test: 'test/app/awaited.test.ts', title: 'takes the lock while COMMIT is under way',
  },
  {
    name: 'whoever else journaled a key is not asked for',
    file: 'src/db/apply-keys.ts', find: '  ...journaling,\n', put: '',
    test: 'test/db/protocol/journaled-keys.test.ts', title: 'waits for the tenant that has journaled the key before',
  },
  {
    name: 'what the table is on the source is not compared behind the images',
    file: 'src/db/pictures.ts', find: '  shapes.assert(answers.slice(few.length).map(shapeInRaw));', put: '',
    test: 'test/db/schema-change.test.ts', title: "'ADD COLUMN': neither mirror, reconcile nor backfill commits anything",
  },
  {
    name: 'rows that changed on their way are committed',
    file: 'src/db/session.ts', find: '[...this.#ahead, sql, FAIL_IF_WARNED]', put: '[...this.#ahead, sql]',
    test: 'test/db/write-ahead.test.ts', title: 'commits nothing when a value would change',
  },
  {
    name: 'the loop leaves a tenant to others for good',
    file: 'src/db/mirror-loop.ts', find: 'this.#left.has(tenant) ? NEGLECTED : LATE', put: 'this.#left.has(tenant) ? Infinity : LATE',
    test: 'test/db/mirror-together.test.ts', title: 'the loop leaves a tenant to whoever it met there',
  },
  {
    name: 'a transaction is not begun',
    file: 'src/db/session.ts', find: 'if (this.#settings.combines) this.#ahead = statements;', put: 'if (this.#settings.combines) return;',
    test: 'test/db/protocol/sessions.test.ts', title: 'a transaction begins in the packet of its first statement',
  },
  {
    name: 'the journal is deleted before the target has committed',
    file: 'src/db/converge.ts', find: '        reached.keys = keys;', put: '        reached.keys = keys;\n        await deleteJournal(pair.source, pair.control, batch.ids);',
    test: 'test/db/protocol/stress.test.ts', title: 'no row differs and no false drift is reported',
  },
  {
    name: 'keys are not deleted before their images are inserted',
    file: 'src/db/apply-keys.ts', find: 'const kept = new Set(replaces ?', put: 'const kept = new Set(true ?',
    test: 'test/db/converge.test.ts', title: 'moves unique values between rows in a circle',
  },
  {
    name: 'the locks are not extended to the tenants that turn up',
    file: 'src/db/apply-keys.ts', find: 'if (missing.length > 0) throw new LocksMissing(missing);', put: '',
    test: FINDINGS, title: '5: a row that moves between tenants is written under the locks of both',
  },
  {
    name: 'images that are streamed are written without the lock of their owner',
    file: 'src/db/apply-keys.ts', find: '  assertLocked(sides, [...strangers]);', put: '',
    test: 'test/db/mirror-many.test.ts', title: 'an image that belongs to a tenant that is not locked yet',
  },
  {
    name: 'keys without an image stay on the target',
    file: 'src/db/apply-keys.ts', find: 'await deleteRows(target, tracked.target(id), lines.absent(keys));', put: '',
    test: 'test/db/mirror-many.test.ts', title: 'rows change, go, and move between tenants that migrate and one that does not',
  },
  {
    name: 'the direction of a lock is not checked',
    file: 'src/db/lock.ts', find: '  if (turned !== undefined)', put: '  if (turned !== undefined && rows.length < 0)',
    test: FINDINGS, title: '2: the holder of a unique value moves only under the direction of its own tenant',
  },
  {
    name: 'the source snapshot is READ COMMITTED',
    file: 'src/db/database.ts', find: "'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ'", put: "'SET TRANSACTION ISOLATION LEVEL READ COMMITTED'",
    test: SERVERS, title: '15b: the source snapshot is one instant',
  },
  {
    name: 'appliers run under REPEATABLE READ',
    file: 'src/db/session-settings.ts', find: "[isolation]: 'READ-COMMITTED'", put: "[isolation]: 'REPEATABLE-READ'",
    test: SERVERS, title: '15: two appliers that delete absent keys do not block each other',
  },
  {
    name: 'the rows of a tenant that is not moving are written',
    file: 'src/db/apply-keys.ts', find: 'tenant !== null && mirrored.has(tenant)', put: 'tenant !== null',
    test: 'test/db/tenancy.test.ts', title: 'keys go around rows of two tenants that move and one that does not',
  },
  {
    name: 'the journal is never read from its beginning again',
    file: 'src/db/mirror.ts', find: 'rescanAt: Date.now() + RESCAN_EVERY', put: 'rescanAt: Date.now() + 1_000 * RESCAN_EVERY',
    test: SERVERS, title: '17: the journal is read from a low-water id',
  },
  {
    name: 'the journal is read from its beginning every time',
    file: 'src/db/mirror.ts', find: 'Date.now() < low.rescanAt) return low;', put: "Date.now() < low.rescanAt) return { ...low, id: '0' };",
    test: SERVERS, title: '17: the journal is read from a low-water id',
  },
  {
    name: 'a TIMESTAMP in a key is printed in the writer\'s zone',
    file: 'src/db/keys.ts', find: 'return `UNIX_TIMESTAMP(${value})`;', put: 'return `UNIX_TIMESTAMP(CONVERT_TZ(${value}, @@session.time_zone, "+00:00"))`;',
    test: FINDINGS, title: '6: typed keys written by a session at +08:00 find their row',
  },
  {
    name: 'an update journals the new key only',
    file: 'src/db/triggers.ts', find: 'IF ${moved} THEN ${before} ', put: 'IF ${moved} THEN DO 0; ',
    test: 'test/db/tenancy.test.ts', title: 'keys go around rows of two tenants that move and one that does not',
  },
  {
    name: 'columns by which children find a parent are compared as one text, which one NULL makes NULL',
    file: 'src/db/triggers.ts', find: "sameSql(column, 'OLD', 'NEW')).join(' AND ')", put: "sameSql(column, 'OLD', 'NEW').split(' <=> ')).reduce(([a, b], [c, d]) => [`CONCAT(${a}, ${c})`, `CONCAT(${b}, ${d})`]).join(' <=> ')",
    test: 'test/db/capture.test.ts', title: 'journals the key that it leaves while that column is NULL',
  },
  {
    name: 'a parent takes for unchanged what its collation takes for equal',
    file: 'src/db/cascades.ts', find: '`CAST(${row}.${ident(column)} AS BINARY)`', put: '`${row}.${ident(column)}`',
    test: 'test/db/capture.test.ts', title: 'ON UPDATE CASCADE that changes only the case of letters reaches the target',
  },
  {
    name: 'cascades are not journaled by the parent',
    file: 'src/db/triggers.ts', find: 'return [...own, ...cascadeTriggers(input, TRIGGER_PREFIX)]', put: 'return [...own]',
    test: SERVERS, title: '12: a cascade fires no trigger of the child',
  },
  {
    name: 'the parent is looked up with a locking read',
    file: 'src/db/triggers.ts', find: ' LIMIT 1`;', put: ' LIMIT 1 LOCK IN SHARE MODE`;',
    test: FINDINGS, title: '4: looking the parent up does not wait for its writer',
  },
  {
    name: 'a verdict does not ask the journal',
    file: 'src/domain/drift.ts', find: "  if (journaled) return { kind: 'in-flight' };", put: '',
    test: RECONCILE, title: 'in flight: neither drift nor unclean',
  },
  {
    name: 'a row that differs is repaired',
    file: 'src/domain/drift.ts', find: 'different: { repair: false, stopsLine: true }', put: 'different: { repair: true, stopsLine: true }',
    test: RECONCILE, title: 'different: the line stops, nothing is written',
  },
  {
    name: 'a pass that repaired counts as clean',
    file: 'src/db/ledger.ts', find: 'const clean = pass.counts.drifted === 0 && pass.counts.repaired === 0', put: 'const clean = pass.counts.drifted === pass.counts.repaired',
    test: RECONCILE, title: 'missing: repaired at once, not clean',
  },
  {
    name: 'a window of the copy does not replace its range',
    file: 'src/db/copy-window.ts', find: '        await deleteWindow(target, tracked.target(part.tableId), run.tenant, range);', put: '',
    test: 'test/db/backfill.test.ts', title: 'replaces its range: what the source no longer has is gone',
  },
  {
    name: 'warnings are not looked at',
    file: 'src/db/session.ts', find: 'if (warningStatus === 0) return;', put: 'if (warningStatus >= 0) return;',
    test: 'test/db/load.test.ts', title: 'both ways write the same bytes, and both say what is in the way',
  },
  {
    name: 'the INSERT is a REPLACE',
    file: 'src/db/images.ts', find: "isReplacing ? 'REPLACE' : 'INSERT'", put: "'REPLACE'",
    test: 'test/db/load.test.ts', title: 'both ways write the same bytes, and both say what is in the way',
  },
  {
    name: 'a purge of rows that are nobody\'s does not hold the stages',
    file: 'src/db/stages.ts', find: ' WHERE id = 1 LOCK IN SHARE MODE`', put: ' WHERE id = 1`',
    test: 'test/db/unresolved.test.ts', title: 'the purge holds every stage: a start waits for it',
  },
  {
    name: 'a purge of a tenant\'s journal does not hold its stage',
    file: 'src/db/mirror.ts', find: ' LOCK IN SHARE MODE`,', put: '`,',
    test: 'test/db/unresolved.test.ts', title: 'a start that has not committed yet keeps the rows of its tenant',
  },
  {
    name: 'a window commits after an ALTER on the target',
    file: 'src/db/copy-window.ts', find: "        await assertShapes(pair, tracked, { on: target, side: 'target', ids });", put: '',
    test: 'test/db/schema-change.test.ts', title: 'a backfill window: an ALTER on the target before the first touch is seen',
  },
];

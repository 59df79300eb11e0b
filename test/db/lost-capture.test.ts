/** What takes capture away and what only looks like it, on both source dialects: an alarm for each loss, none for a rebuild. */
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { installCapture } from '../../src/db/capture.ts';
import { lostCapture } from '../../src/db/capture-loss.ts';
import { captureLost } from '../../src/db/evidence.ts';
import { MirrorLoop } from '../../src/db/mirror-loop.ts';
import { markDirty, readStage } from '../../src/db/stages.ts';
import type { DatabaseServer } from '../../src/stack/database-server.ts';
import { startMariadb } from '../../src/stack/mariadb.ts';
import { onPath } from '../../src/stack/programs.ts';
import { column, useFixture, type Fixture, type PairUrls } from '../support/pair.ts';
import { stackInfo } from '../support/stack.ts';

/** Statements with `TRIGGER` for the name of a trigger on the table, and what is said; null: nothing was lost. */
type Case = readonly [what: string, statements: readonly string[], says: RegExp | null];

const PARTITIONED =
  'PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (1000), PARTITION p1 VALUES LESS THAN (2000), PARTITION pm VALUES LESS THAN MAXVALUE)';
const COLUMNS =
  'id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL DEFAULT 0, KEY (tenant_id)';

const BODY = 'FOR EACH ROW INSERT INTO seen VALUES (NEW.id)';

// prettier-ignore
const LOSSES: readonly Case[] = [
  ['a trigger is dropped', ['DROP TRIGGER TRIGGER'], /^trigger switchback_\d+_update_\w+ on notes is gone$/],
  ['a trigger has another body', ['DROP TRIGGER TRIGGER', `CREATE TRIGGER TRIGGER AFTER UPDATE ON notes ${BODY}`], /on notes was altered$/],
  ['a trigger stands under another name', ['DROP TRIGGER TRIGGER', `CREATE TRIGGER other_name AFTER UPDATE ON notes ${BODY}`], /on notes is gone$/],
  ['a trigger is dropped and comes back as it was', ['DROP TRIGGER TRIGGER', 'CREATE TRIGGER TRIGGER SAME'], /on notes was dropped and created again$/],
  ['TRUNCATE', ['TRUNCATE notes'], /^table notes was truncated$/],
  ['TRUNCATE, and rows again', ['TRUNCATE notes', "INSERT INTO notes VALUES (1, 'ant', 1)"], /^table notes was truncated$/],
  ['TRUNCATE, and an ALTER right after it', ['TRUNCATE notes', 'ALTER TABLE notes FORCE'], /^table notes was rebuilt beside a TRUNCATE/],
  ['the swap of gh-ost', ['CREATE TABLE _notes_gho LIKE notes', 'INSERT INTO _notes_gho SELECT * FROM notes', 'RENAME TABLE notes TO _notes_del, _notes_gho TO notes'], /it stands on _notes_del, so notes was renamed or swapped$/],
  ['the swap of pt-osc, with its triggers', ['CREATE TABLE _notes_new LIKE notes', `CREATE TRIGGER pt_osc_ins AFTER INSERT ON notes FOR EACH ROW REPLACE INTO _notes_new VALUES (NEW.id, NEW.tenant_id, NEW.n)`, 'INSERT IGNORE INTO _notes_new SELECT * FROM notes', 'RENAME TABLE notes TO _notes_old, _notes_new TO notes', 'DROP TABLE _notes_old'], /^trigger \S+ on notes is gone$/],
  ['DROP and CREATE', ['DROP TABLE notes', `CREATE TABLE notes (${COLUMNS})`], /^trigger \S+ on notes is gone$/],
  ['DROP', ['DROP TABLE notes'], /^table notes is gone, and its triggers with it$/],
  ['RENAME', ['RENAME TABLE notes TO remarks'], /stands on remarks, so notes was renamed or swapped$/],
  ['a key column gets another name', ['ALTER TABLE notes CHANGE id note_id INT NOT NULL'], /needs column id of notes, which is gone or renamed: writes to notes fail until an install$/],
  ['the tenant column gets another name', ['ALTER TABLE notes CHANGE tenant_id owner VARCHAR(20) NOT NULL'], /needs column tenant_id of notes/],
  ['a partition is truncated', ['ALTER TABLE parts TRUNCATE PARTITION p0'], /^table parts lost rows by TRUNCATE or EXCHANGE of partition p0$/],
  ['a partition is exchanged', [`CREATE TABLE outside (${COLUMNS})`, 'ALTER TABLE parts EXCHANGE PARTITION p1 WITH TABLE outside'], /^table parts lost rows by TRUNCATE or EXCHANGE of partition p1$/],
  ['a partition is dropped', ['ALTER TABLE parts DROP PARTITION p0'], /^table parts lost partition p0 with its rows/],
  ['a partition is dropped and the next one added, as a monthly job does', ['ALTER TABLE parts REORGANIZE PARTITION pm INTO (PARTITION p2 VALUES LESS THAN (3000), PARTITION pm VALUES LESS THAN MAXVALUE)', 'ALTER TABLE parts DROP PARTITION p0'], /^table parts lost partition p0/],
  ['every partition is truncated', ['TRUNCATE parts'], /^table parts was truncated$/],
];

/** The table or its column is gone: an install refuses, by name. */
const NEEDS_ANOTHER_PLAN = /^(DROP|RENAME)$|gets another name$/;

/** What the two servers keep in their own ways: numbers of tables and partitions, times of triggers. */
const OF_THE_DIALECT = /partition|TRUNCATE|comes back|gh-ost|key column/;

// prettier-ignore
const REBUILDS: readonly Case[] = [
  ['ALTER … FORCE', ['ALTER TABLE notes FORCE'], null],
  ['OPTIMIZE', ['OPTIMIZE TABLE notes'], null],
  ['ALTER … ENGINE=InnoDB', ['ALTER TABLE notes ENGINE=InnoDB'], null],
  ['a copying ALTER', ['ALTER TABLE notes MODIFY n BIGINT NOT NULL DEFAULT 0, ALGORITHM=COPY'], null],
  ['an ALTER in place, and one more', ['ALTER TABLE notes ADD KEY (n)', 'ALTER TABLE notes FORCE', 'ALTER TABLE notes ADD COLUMN more INT NULL'], null],
  ['ANALYZE, a comment', ['ANALYZE TABLE notes', "ALTER TABLE notes COMMENT 'x'"], null],
  ['another trigger beside ours', [`CREATE TRIGGER theirs AFTER INSERT ON notes ${BODY}`], null],
  ['there and back under another name', ['RENAME TABLE notes TO elsewhere', 'RENAME TABLE elsewhere TO notes'], null],
  ['partitions rebuilt', ['ALTER TABLE parts FORCE', 'ALTER TABLE parts REBUILD PARTITION p0'], null],
  ['a partition for the next month', ['ALTER TABLE parts REORGANIZE PARTITION pm INTO (PARTITION p2 VALUES LESS THAN (3000), PARTITION pm VALUES LESS THAN MAXVALUE)'], null],
  ['partitions removed, and made', ['ALTER TABLE parts REMOVE PARTITIONING', `ALTER TABLE parts ${PARTITIONED}`], null],
];

const TABLES = (engine = 'ENGINE=InnoDB'): readonly string[] => [
  `CREATE TABLE notes (${COLUMNS}) ${engine}`,
  `CREATE TABLE parts (${COLUMNS}) ${engine} ${PARTITIONED}`,
  'CREATE TABLE seen (id INT) ENGINE=InnoDB',
];

/** Both tables as new, filled and captured; a table's creation time has whole seconds. */
async function afresh({ sql, rows, install, pair }: Fixture): Promise<void> {
  const standing = await rows('source', 'SHOW TABLES');
  for (const row of standing) await sql('source', `DROP TABLE \`${Object.values(row)[0]!}\``);
  for (const table of TABLES()) await sql('source', table);
  const values = Array.from({ length: 2_500 }, (_, id) => `(${id}, 'ant', 0)`).join(', ');
  for (const table of ['notes', 'parts']) await sql('source', `INSERT INTO ${table} VALUES ${values}`);
  await install({ notes: column(), parts: column() });
  expect(await lostCapture(pair)).toEqual([]);
}

async function run({ rows, sql }: Fixture, statements: readonly string[]): Promise<void> {
  const [trigger] = await rows(
    'source',
    "SELECT TRIGGER_NAME AS name, EVENT_MANIPULATION AS event, EVENT_OBJECT_TABLE AS tbl, ACTION_STATEMENT AS body FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = 'notes' AND EVENT_MANIPULATION = 'UPDATE'",
  );
  const same = `AFTER ${trigger!['event']} ON ${trigger!['tbl']} FOR EACH ROW ${trigger!['body']}`;
  for (const statement of statements)
    await sql(
      'source',
      statement
        .replace('TRIGGER SAME', `TRIGGER ${same}`)
        .replace('TRIGGER TRIGGER', `TRIGGER ${trigger!['name']}`)
        .replace('TRIGGER AFTER', `${trigger!['name']} AFTER`),
    );
}

function lookAt(fixture: () => Fixture, losses = LOSSES): void {
  it.each(losses)('%s: is named, and an install stands again', async (what, statements, says) => {
    await afresh(fixture());
    if (statements.some((statement) => statement.startsWith('ALTER'))) await sleep(1_050);
    await run(fixture(), statements);
    const lost = await lostCapture(fixture().pair);
    expect(lost.map(({ why }) => why)).toEqual([expect.stringMatching(says!)]);
    // It stays lost until an install.
    expect(await lostCapture(fixture().pair)).toEqual(lost);
    if (NEEDS_ANOTHER_PLAN.test(what)) return;
    await installCapture(fixture().pair);
    expect(await lostCapture(fixture().pair)).toEqual([]);
  });

  it('a renamed key is taken by the server, fails every write until an install, and none after it', async () => {
    await afresh(fixture());
    const { sql, pair } = fixture();
    await sql('source', 'ALTER TABLE notes CHANGE id note_id INT NOT NULL');
    await expect(sql('source', "INSERT INTO notes VALUES (9999, 'ant', 0)")).rejects.toMatchObject({
      errno: 1054,
    });
    expect(await lostCapture(pair)).toHaveLength(1);
    await installCapture(pair);
    await sql('source', "INSERT INTO notes VALUES (9999, 'ant', 0)");
  });

  it(
    'a rebuild keeps triggers and rows, and is no loss; a TRUNCATE after it is',
    { timeout: 60_000 },
    async () => {
      await afresh(fixture());
      for (const [what, statements] of REBUILDS) {
        await sleep(1_050);
        await run(fixture(), statements);
        expect(await lostCapture(fixture().pair), what).toEqual([]);
      }
      await fixture().sql('source', 'TRUNCATE notes');
      expect(await lostCapture(fixture().pair)).toMatchObject([
        { table: 'notes', why: 'table notes was truncated' },
      ]);
      await installCapture(fixture().pair);
      expect(await lostCapture(fixture().pair)).toEqual([]);
    },
  );
}

describe('MySQL', () => lookAt(useFixture(TABLES())));

describe('the watch in a worker', () => {
  const fixture = useFixture(TABLES());
  let loop: MirrorLoop | null = null;
  const published: string[] = [];
  afterAll(async () => loop?.stop());

  const dirty = async (tenant: string): Promise<readonly [string, boolean]> => {
    const row = await readStage(fixture().pair.source, fixture().pair.control, tenant);
    return [row!.stage, row!.dirty];
  };

  // prettier-ignore
  it.each<readonly [string, readonly string[]]>([
    ['a dropped trigger', ['DROP TRIGGER TRIGGER']],
    ['a TRUNCATE', ['TRUNCATE notes']],
    ['a swap', ['CREATE TABLE _notes_gho LIKE notes', 'RENAME TABLE notes TO _notes_del, _notes_gho TO notes', 'DROP TABLE _notes_del']],
    ['a renamed key', ['ALTER TABLE notes CHANGE id note_id INT NOT NULL']],
    ['a truncated partition', ['ALTER TABLE parts TRUNCATE PARTITION p0']],
  ])('notices %s within 5 s: every tenant is dirty, reads go back to the source', { timeout: 30_000 }, async (_, statements) => {
    const { pair, start, sql } = fixture();
    await afresh(fixture());
    for (const tenant of ['ant', 'bee']) {
      await start(tenant, tenant === 'ant' ? 'read-target' : 'shadow-read');
      await markDirty(pair.source, pair.control, [tenant], false, { actor: 'test', reason: 'copied' });
    }
    loop ??= new MirrorLoop(pair, {
      info: () => {},
      warn: () => {},
      published: (row) => Promise.resolve(void published.push(`${row.tenant} ${row.stage}`)),
    });
    published.length = 0;
    loop.start();
    await sleep(500);
    expect([await dirty('ant'), await dirty('bee')]).toEqual([['read-target', false], ['shadow-read', false]]);
    await run(fixture(), statements);
    const lostAt = Date.now();
    await expect.poll(() => dirty('ant'), { timeout: 8_000, interval: 20 }).toEqual(['shadow-read', true]);
    expect(Date.now() - lostAt).toBeLessThan(5_000);
    await expect.poll(() => dirty('bee')).toEqual(['shadow-read', true]);
    await expect.poll(() => published).toEqual(['ant shadow-read']);
    expect(await captureLost(pair.source, pair.control, 'bee')).toMatch(/notes|parts/);
    await loop.stop();
    loop = null;
    await sql('source', 'DROP TABLE notes');
  });
});

describe.skipIf(onPath('mariadbd').length === 0)('MariaDB', () => {
  let server: DatabaseServer | null = null;
  beforeAll(async () => {
    server = await startMariadb({ name: 'lost-capture' });
  });
  afterAll(async () => server?.stop());
  const urls = (): PairUrls => ({ sourceUrl: server!.url(), targetUrl: stackInfo().targetUrl });
  lookAt(
    useFixture(TABLES(), urls),
    LOSSES.filter(([what]) => OF_THE_DIALECT.test(what)),
  );
});

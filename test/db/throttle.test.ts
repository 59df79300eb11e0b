/** The throttle: every signal with the real thing behind it, and closed when one can't be read. */
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, describe, expect, it } from 'vitest';

import { copyTable } from '../../src/db/backfill.ts';
import { Database } from '../../src/db/database.ts';
import { Pace } from '../../src/db/pace.ts';
import { reconcileSlice } from '../../src/db/reconcile.ts';
import { ident } from '../../src/db/sql.ts';
import { Throttle } from '../../src/db/throttle.ts';
import type { Pair } from '../../src/db/tracked.ts';
import type { Limits, ThrottleLimits } from '../../src/domain/plan.ts';
import { limits as limitsOf } from '../support/limits.ts';
import { column, useFixture } from '../support/pair.ts';
import { ownMysql, stackInfo } from '../support/stack.ts';

const WATCH_NOTHING: ThrottleLimits = { historyList: 0, redoPercent: 0, replicaLag: 0 };
const limits = (watch: Partial<ThrottleLimits & { threadsRunning: number }> = {}): Limits => {
  const { threadsRunning = 1_000, ...throttle } = watch;
  return limitsOf({
    windowRows: 100,
    reconcileRows: 100,
    threadsRunning,
    throttle: { ...WATCH_NOTHING, ...throttle },
  });
};
const TABLE =
  'CREATE TABLE items (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, KEY (tenant_id))';

const own = ownMysql('throttled');
/** The server of this file alone is the source, so that nobody else's load is seen. */
const fixture = useFixture([TABLE], () => ({
  sourceUrl: own().rootUrl(),
  targetUrl: stackInfo().targetRootUrl,
}));

const others: Database[] = [];
afterAll(async () => void (await Promise.allSettled(others.map((db) => db.close()))));
function open(url: string, side: 'source' | 'target' = 'source'): Database {
  const db = new Database({ side, url });
  others.push(db);
  return db;
}

/** Each look is older than half a second before the next one is taken. */
async function until(throttle: Throttle, bounds: Limits, wanted: RegExp | null): Promise<string | null> {
  const ends = Date.now() + 20_000;
  for (;;) {
    const why = await throttle.why(bounds, 'copy');
    if (wanted === null ? why === null : why !== null && wanted.test(why)) return why;
    if (Date.now() > ends) throw new Error(`waited for ${wanted}, saw ${why}`);
    await sleep(100);
  }
}

async function busy<T>(connections: number, use: (stop: () => Promise<void>) => Promise<T>): Promise<T> {
  const url = own().rootUrl();
  const sleepers = new Database({ side: 'source', url, connections });
  const running = Array.from({ length: connections }, () =>
    sleepers.session(async (session) => {
      await session.run('SET SESSION max_execution_time = 0');
      await session.rows("SELECT SLEEP(25), 'sleeper'").catch(() => []);
    }),
  );
  const stop = async (): Promise<void> => {
    const rows = await fixture().pair.source.rows(
      "SELECT ID AS id FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT SLEEP(25)%'",
    );
    for (const row of rows)
      await fixture()
        .pair.source.run(`KILL QUERY ${row['id']}`)
        .catch(() => {});
    await Promise.allSettled(running);
  };
  try {
    return await use(stop);
  } finally {
    await stop();
    await sleepers.close();
  }
}

describe('Threads_running', () => {
  it('holds over its bound, goes on well below it and not just below it', async () => {
    const { pair } = fixture();
    const throttle = new Throttle(pair);
    expect(await throttle.why(limits({ threadsRunning: 10 }), 'copy')).toBeNull();
    await busy(20, async (stop) => {
      const why = await until(throttle, limits({ threadsRunning: 10 }), /threads running/);
      expect(why).toMatch(/^source has \d\d threads running, more than 10$/);
      await stop();
      await until(throttle, limits({ threadsRunning: 10 }), null);
    });
    // 8 or 9 of 10: no reason to hold, and no reason to let go either.
    await busy(8, async () => {
      await sleep(600);
      expect(await new Throttle(pair).why(limits({ threadsRunning: 10 }), 'copy')).toBeNull();
    });
    await busy(20, () => until(throttle, limits({ threadsRunning: 10 }), /threads running/));
    await busy(8, async () => {
      await sleep(1_200);
      expect(await throttle.why(limits({ threadsRunning: 10 }), 'copy')).toMatch(/threads running/);
    });
    await until(throttle, limits({ threadsRunning: 10 }), null);
  });

  it('is looked at once for all who ask within half a second', async () => {
    const { pair } = fixture();
    let statements = 0;
    const counting = Object.create(pair.source) as Database;
    counting.session = (use) => {
      statements += 1;
      return pair.source.session(use);
    };
    const throttle = new Throttle({ ...pair, source: counting });
    await Promise.all(Array.from({ length: 50 }, () => throttle.why(limits(), 'copy')));
    for (let lane = 0; lane < 50; lane += 1) await throttle.why(limits(), 'reconcile');
    expect(statements).toBe(1);
  });
});

describe('the history list', () => {
  it('holds copy and reconcile while a long transaction keeps purge from its work', async () => {
    const { pair, sql } = fixture();
    const throttle = new Throttle(pair);
    const bounds = limits({ historyList: 800 });
    await until(throttle, bounds, null);
    await sql('source', "INSERT INTO items VALUES (1, 'ant', 0)");
    await pair.source.snapshot(async (session) => {
      await session.rows(`SELECT COUNT(*) AS n FROM ${ident(pair.sourceSchema)}.items`);
      for (let n = 1; n <= 1_200; n += 1) await sql('source', `UPDATE items SET n = ${n} WHERE id = 1`);
      const why = await until(throttle, bounds, /purge/);
      expect(why).toMatch(/^source has \d+ changes that purge has not removed, more than 800: is a trans/);
      expect(await throttle.why(bounds, 'reconcile')).toBe(why);
    });
    await until(throttle, bounds, null);
  });

  it('holds where it only grows, over half its bound', async () => {
    const { pair, sql } = fixture();
    const throttle = new Throttle(pair);
    const bounds = limits({ historyList: 4_000 });
    await until(throttle, bounds, null);
    let writing = true;
    await pair.source.snapshot(async (session) => {
      await session.rows(`SELECT COUNT(*) AS n FROM ${ident(pair.sourceSchema)}.items`);
      for (let n = 1; n <= 2_100; n += 1) await sql('source', `UPDATE items SET n = ${n} WHERE id = 1`);
      const writer = (async () => {
        for (let n = 0; writing && n < 1_500; n += 1) {
          await sql('source', `UPDATE items SET n = n + 1 WHERE id = 1`);
          await sleep(4);
        }
      })();
      expect(await until(throttle, bounds, /purge/)).toMatch(/and they grow/);
      writing = false;
      await writer;
      await until(throttle, bounds, null); // it does not grow any more
    });
  });
});

describe('a replica', () => {
  const replicas = { source: [] as Database[], target: [] as Database[] };

  it('that takes nothing any more holds the copy, and not a reconcile', async () => {
    const { pair } = fixture();
    // The other server's control schema stands for a replica: nobody applies anything there.
    const stalled = pair.target;
    const throttle = new Throttle(pair, { ...replicas, source: [stalled] });
    const bounds = limits({ replicaLag: 2_000 });
    const table = `${ident(pair.control)}.heartbeat`;
    expect(await throttle.why(bounds, 'copy')).toMatch(/hides its replica lag \(no heartbeat has reached/);
    expect(await throttle.why(bounds, 'reconcile')).toBeNull();

    const follow = async (): Promise<void> => {
      const [row] = await pair.source.rows(`SELECT beaten_at FROM ${table} WHERE id = 1`);
      await stalled.run(`REPLACE INTO ${table} VALUES (1, '${row!['beaten_at']}')`);
    };
    await follow();
    await sleep(500);
    expect(await throttle.why(bounds, 'copy')).toBeNull();
    const why = await until(throttle, bounds, /behind/);
    expect(why).toMatch(/^source has a replica that is [234]\d{3} ms behind, more than 2000 ms$/);
    await follow();
    await until(throttle, bounds, null);
  });

  it('that is up to date holds nothing when work begins after hours in which nobody wrote a heartbeat', async () => {
    const { pair } = fixture();
    const follower = pair.target;
    const bounds = limits({ replicaLag: 2_000 });
    const table = `${ident(pair.control)}.heartbeat`;
    for (const db of [pair.source, follower])
      await db.run(`REPLACE INTO ${table} VALUES (1, '2026-01-01 00:00:00.123456')`);

    const throttle = new Throttle(pair, { ...replicas, source: [follower] });
    expect(await throttle.why(bounds, 'copy')).toBeNull();
    // What it lacks from here on counts, and only that.
    expect(await until(throttle, bounds, /behind/)).toMatch(/ is [2345]\d{3} ms behind/);
    // A process that begins while it stands still, after a beat that it lacks: that one is found.
    const later = new Throttle({ ...pair }, { ...replicas, source: [follower] });
    expect(await later.why(bounds, 'copy')).toMatch(/behind/);
  });

  it('that can not be reached holds the copy', async () => {
    const { pair } = fixture();
    const gone = open('mysql://nobody:x@127.0.0.1:1');
    const throttle = new Throttle(pair, { ...replicas, source: [gone] });
    expect(await throttle.why(limits({ replicaLag: 1_000 }), 'copy')).toMatch(
      /^source hides its replica lag \(.*cannot be reached.*\); .*limits\.throttle\.replicaLag: 0$/,
    );
  });
});

describe('the redo log', () => {
  // Other files fill that of the shared target.
  const alone = () => new Throttle({ ...fixture().pair, target: open(own().rootUrl(), 'target') });

  it('holds the copy while it has no room', async () => {
    const { source } = fixture().pair;
    const throttle = alone();
    await until(throttle, limits({ redoPercent: 100 }), null);
    // An idle server keeps some of its log in use; over a bound of 1 % that is pressure.
    await source.run('CREATE TABLE mysql.filler (id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB)');
    // A BLOB over a tenth of the log is refused.
    await source.run('SET GLOBAL innodb_redo_log_capacity = 33554432');
    for (let n = 0; n < 4; n += 1)
      await source.run("INSERT INTO mysql.filler (b) VALUES (REPEAT('x', 1000000))");
    expect(await until(throttle, limits({ redoPercent: 1 }), /redo/)).toMatch(
      /^source has filled \d+ % of its redo log, more than 1 %$/,
    );
    await source.run('DROP TABLE mysql.filler');
  });

  it('holds nothing for ever on a server at rest, and again as soon as somebody fills it', async () => {
    const { source } = fixture().pair;
    const throttle = alone();
    await source.run('SET GLOBAL innodb_redo_log_capacity = 33554432');
    // No page is flushed for its own sake, so what is in the log stays there.
    await source.run('SET GLOBAL innodb_idle_flush_pct = 0');
    await source.run('SET GLOBAL innodb_adaptive_flushing = OFF');
    await source.run('CREATE TABLE mysql.rest (id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB)');
    const fill = () => source.run("INSERT INTO mysql.rest (b) VALUES (REPEAT('x', 1000000))");
    for (let n = 0; n < 6; n += 1) await fill();
    const bounds = limits({ redoPercent: 5 });
    await until(throttle, bounds, /redo log, more than 5 %/);
    await until(throttle, bounds, null);
    const [used] = await source.rows("SHOW GLOBAL STATUS LIKE 'Innodb_redo_log_logical_size'");
    expect(Number(used?.['Value'])).toBeGreaterThan(33554432 / 10);
    for (let n = 0; n < 3; n += 1) await fill();
    await until(throttle, bounds, /redo log, more than 5 %/);
    await source.run('SET GLOBAL innodb_idle_flush_pct = 100');
    await source.run('SET GLOBAL innodb_adaptive_flushing = ON');
    await source.run('DROP TABLE mysql.rest');
  });
});

describe('a signal that can not be read', () => {
  it('holds, names the grant, is found by plan check, and is off only if the plan says so', async () => {
    const { pair } = fixture();
    await pair.source.run("CREATE USER poor@'%' IDENTIFIED BY 'poor'");
    const url = new URL(own().rootUrl());
    url.username = 'poor';
    url.password = 'poor';
    const poor: Pair = { ...pair, source: open(url.href) };
    const throttle = new Throttle(poor);
    const hidden = /hides its history list length \(.*PROCESS.*\); GRANT PROCESS ON \*\.\* TO its user, or/;

    for (const use of ['copy', 'reconcile'] as const)
      expect(await throttle.why(limits({ historyList: 100_000 }), use)).toMatch(hidden);
    const { problems } = await throttle.check(limits({ historyList: 100_000 }));
    expect(problems).toMatchObject([
      { field: 'limits.throttle.historyList', value: 'source: history list length' },
    ]);
    expect(await throttle.why(limits(), 'copy')).toBeNull();
    await pair.source.run("GRANT PROCESS ON *.* TO poor@'%'");
    await until(throttle, limits({ historyList: 100_000 }), null);
  });

  it('holds when its counter was switched off, and when the server is gone', async () => {
    const { pair } = fixture();
    await pair.source.run("SET GLOBAL innodb_monitor_disable = 'trx_rseg_history_len'");
    const throttle = new Throttle(pair);
    expect(await throttle.why(limits({ historyList: 100_000 }), 'copy')).toMatch(/it is off: SET GLOBAL/);
    await pair.source.run("SET GLOBAL innodb_monitor_enable = 'trx_rseg_history_len'");
    await until(throttle, limits({ historyList: 100_000 }), null);

    const gone = new Throttle({ ...pair, target: open('mysql://nobody:x@127.0.0.1:1', 'target') });
    expect(await gone.why(limits(), 'copy')).toMatch(/^target hides its Threads_running \(.*reached/);
  });
});

describe('own statements', () => {
  const took = (throttle: Throttle, ms: number, rows = 1_000, tenant = 'ant') =>
    throttle.took({ side: 'source', what: 'the digest of items', tenant, ms, rows });

  it('that take five times as long as usual pause the work for a moment, longer ones do not become usual at once', async () => {
    const throttle = new Throttle(fixture().pair);
    for (let n = 0; n < 10; n += 1) took(throttle, 100);
    took(throttle, 400);
    expect(await throttle.why(limits(), 'copy')).toBeNull();
    took(throttle, 900);
    expect(await throttle.why(limits(), 'reconcile')).toMatch(
      /^source takes [678]\.\d times as long as usual for the digest of items$/,
    );
    await until(throttle, limits(), null);
    took(throttle, 900);
    expect(await throttle.why(limits(), 'copy')).toMatch(/times as long as usual/);
  });

  it('that are short are never slow, and small windows are no slower than large ones', async () => {
    const throttle = new Throttle(fixture().pair);
    for (let n = 0; n < 10; n += 1) took(throttle, 10);
    took(throttle, 200);
    took(throttle, 30, 1);
    expect(await throttle.why(limits(), 'copy')).toBeNull();
  });

  it('of a tenant with larger rows are measured by its own', async () => {
    const throttle = new Throttle(fixture().pair);
    for (let n = 0; n < 10; n += 1) took(throttle, 30);
    for (let n = 0; n < 10; n += 1) took(throttle, 900, 1_000, 'bee');
    expect(await throttle.why(limits(), 'copy')).toBeNull();
  });
});

describe('the pace of a reconcile', () => {
  it('holds until what was read is paid off, and a new pace acts at once', async () => {
    let rate = 1_000;
    const pace = new Pace(() => Promise.resolve(rate));
    expect(await pace.why()).toBeNull();
    pace.spent(100_000);
    expect(await pace.why()).toBe('pace of 1000 rows a second');
    rate = 0;
    expect(await pace.why()).toBeNull();
    rate = 1_000;
    const started = performance.now();
    for (let window = 0; window < 3; window += 1) {
      pace.spent(400);
      while ((await pace.why()) !== null) await sleep(50);
    }
    expect(performance.now() - started).toBeGreaterThan(650);
  });
});

describe('work that is held', () => {
  it('says why, copies and compares nothing, and goes on', async () => {
    const { pair, sql, install, start } = fixture();
    await sql('source', 'DELETE FROM items');
    await install({ items: column() });
    await start('ant');
    for (let id = 1; id <= 20; id += 1) await sql('source', `INSERT INTO items VALUES (${id}, 'ant', 0)`);
    const { tracked } = fixture();
    const bounds = limits({ threadsRunning: 10 });
    await busy(20, async (stop) => {
      const throttle = new Throttle(pair);
      await until(throttle, bounds, /threads running/);
      const whys: (string | null)[] = [];
      const report = (why: string | null): void => {
        whys.push(why);
        if (whys.length === 1) void stop();
      };
      const rest = { tenant: 'ant', limits: bounds, until: () => false, throttle };
      const copied = await copyTable(pair, tracked, {
        ...rest,
        round: 1,
        tableId: tracked.byName('items').id,
        pace: () => Promise.resolve(0),
        progress: ({ copiedRows }, why) => {
          if (why !== null) expect(copiedRows).toBe(0);
          report(why);
        },
      });
      expect(copied).toMatchObject({ copiedRows: 20, finished: true });
      expect(whys[0]).toMatch(/threads running/);
      expect(whys.at(-1)).toBeNull();
    });
    await busy(20, async (stop) => {
      const throttle = new Throttle(pair);
      await until(throttle, bounds, /threads running/);
      const whys: (string | null)[] = [];
      const result = await reconcileSlice(pair, tracked, {
        tenant: 'ant',
        limits: bounds,
        missingAgain: 0,
        until: () => false,
        throttle,
        progress: ({ counts }, why) => {
          if (why !== null) expect(counts.windows).toBe(0);
          whys.push(why);
          if (whys.length === 1) void stop();
        },
      });
      expect(whys[0]).toMatch(/threads running/);
      expect(result.finished).toBe(true);
    });
  });
});

/**
 * An application that writes to both sides by itself, in the plainest way: the source first, then the target in a
 * try/catch. No line of Switchback is in it; any language would do.
 *
 * What it must keep to (docs/application-capture.md): its target write has a deadline below `durations.settle`,
 * is tried again after a deadlock, takes a duplicate key for success, and the writes of one row keep their order.
 *
 * It misbehaves on purpose: `fail 0.1` on stdin loses a tenth of its target inserts, `fail 0` none. On SIGTERM it
 * ends and prints one line of JSON: counts, ids whose insert was lost, milliseconds of its source writes.
 */
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import { createPool } from 'mysql2/promise';

const { SOURCE_URL, TARGET_URL, TENANT, LANES = '3', PAUSE_MS = '15' } = process.env;
/** Share of target writes that come late, and how late: below the deadline. */
const LATE_SHARE = 0.05;
const LATE_MS = 250;
const LOCK_WAIT_SECONDS = 1;
const RETRIED = new Set([1205, 1213]);
const DUPLICATE = 1062;

const source = createPool({ uri: SOURCE_URL, connectionLimit: 8 });
const target = createPool({ uri: TARGET_URL, connectionLimit: 8 });
target.on('connection', (connection) =>
  connection.query(
    `SET SESSION innodb_lock_wait_timeout = ${LOCK_WAIT_SECONDS}, SESSION transaction_isolation = 'READ-COMMITTED'`,
  ),
);

let failShare = 0;
let isOver = false;
const lost = [];
const sourceMs = [];
let writes = 0;
let targetErrors = 0;

createInterface({ input: process.stdin }).on('line', (line) => {
  const [word, share] = line.split(' ');
  if (word === 'fail') failShare = Number(share);
});
process.on('SIGTERM', () => (isOver = true));

async function onSource(sql, values) {
  const began = performance.now();
  const [result] = await source.query(sql, values);
  sourceMs.push(performance.now() - began);
  writes += 1;
  return result;
}

/** Its error is no error of the request. */
async function onTarget(sql, values, isRetry = false) {
  if (!isRetry && Math.random() < LATE_SHARE) await sleep(LATE_MS);
  try {
    await target.query(sql, values);
  } catch (error) {
    if (RETRIED.has(error.errno) && !isRetry) return onTarget(sql, values, true);
    if (error.errno !== DUPLICATE) targetErrors += 1;
  }
}

async function insert(name) {
  const email = `${name}@example.net`;
  const { insertId: id } = await onSource('INSERT INTO customers (tenant_id, email, name) VALUES (?, ?, ?)', [
    TENANT,
    email,
    name,
  ]);
  if (Math.random() < failShare) lost.push(id);
  else
    await onTarget('INSERT INTO customers (tenant_id, id, email, name) VALUES (?, ?, ?, ?)', [
      TENANT,
      id,
      email,
      name,
    ]);
  return id;
}

const update = async (id, name) => {
  const [sql, values] = ['UPDATE customers SET name = ? WHERE id = ?', [name, id]];
  await onSource(sql, values);
  await onTarget(sql, values);
};

const remove = async (id) => {
  const [sql, values] = ['DELETE FROM customers WHERE id = ?', [id]];
  await onSource(sql, values);
  await onTarget(sql, values);
};

/** A lane owns its rows, so the writes of one row keep their order. */
async function lane(number, seeded) {
  const own = seeded.filter((_, index) => index % Number(LANES) === number);
  for (let round = 0; !isOver; round += 1) {
    const chance = Math.random();
    const pick = Math.floor(Math.random() * own.length);
    if (chance < 0.4 || own.length < 10) own.push(await insert(`lane ${number} ${process.pid} ${round}`));
    else if (chance < 0.9) await update(own[pick], `lane ${number} round ${round}`);
    else await remove(own.splice(pick, 1)[0]);
    await sleep(Number(PAUSE_MS));
  }
}

const [rows] = await source.query('SELECT id FROM customers WHERE tenant_id = ? ORDER BY id', [TENANT]);
/** The first ten of the seed are left alone. */
const seeded = rows.map(({ id }) => id).slice(10);
await Promise.all(Array.from({ length: Number(LANES) }, (_, number) => lane(number, seeded)));
sourceMs.sort((a, b) => a - b);
const quantile = (share) => Math.round(sourceMs[Math.floor((sourceMs.length - 1) * share)] ?? 0);
console.log(
  JSON.stringify({
    writes,
    targetErrors,
    lost,
    sourceP50: quantile(0.5),
    sourceP99: quantile(0.99),
    sourceMax: quantile(1),
  }),
);
await Promise.all([source.end(), target.end()]);
process.exit(0);

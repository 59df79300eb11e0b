/** Puts the plan's mode of capture up, and knows which one stands. */
import type { Capture } from '../domain/capture.ts';
import { ConfigError, DatabaseError, type Problem } from '../domain/errors.ts';
import type { Plan } from '../domain/plan.ts';
import { isPerTenant, tenantsWithSchemas } from '../domain/tenant-schema.ts';
import { installCapture } from './capture.ts';
import { lostCapture } from './capture-loss.ts';
import type { Database } from './database.ts';
import { qualified } from './sql.ts';
import { captureOf, type Pair } from './tracked.ts';

/** The mode that is installed; null: none is. */
export async function installedCapture(source: Database, control: string): Promise<Capture | null> {
  try {
    const [row] = await source.rows(
      `SELECT capture FROM ${qualified(control, 'version')} WHERE id = 1
       AND EXISTS (SELECT 1 FROM ${qualified(control, 'tracked_table')} WHERE installed_at IS NOT NULL)`,
    );
    return row === undefined ? null : captureOf(row['capture'] ?? '');
  } catch (error) {
    if (error instanceof DatabaseError && NOTHING_THERE.has(error.errno)) return null;
    throw error;
  }
}

/** Does every table of the plan, of every tenant that has its own, stand installed in the plan's mode, and nothing of it is lost? */
export async function isInstalled(pair: Pair, plan: Plan): Promise<boolean> {
  if ((await installedCapture(pair.source, pair.control)) !== plan.capture) return false;
  const rows = await pair.source.rows(
    `SELECT owner, name FROM ${qualified(pair.control, 'tracked_table')} WHERE installed_at IS NOT NULL`,
  );
  const standing = new Set(rows.map((row) => `${row['owner']}\0${row['name']}`));
  const owners = isPerTenant(plan.source.schema) ? tenantsWithSchemas(plan) : [''];
  return (
    owners.every((owner) => plan.tables.every(({ name }) => standing.has(`${owner}\0${name}`))) &&
    (await lostCapture(pair)).length === 0
  );
}

/** Unknown schema, or unknown table. */
const NOTHING_THERE = new Set<number | null>([1049, 1146]);

/** A migration does not change its mode on its way: what the other mode has copied proves nothing. */
export const otherMode = (wanted: Capture, installed: Capture | null): Problem[] =>
  installed === null || installed === wanted
    ? []
    : [
        {
          field: 'capture',
          value: wanted,
          problem: `is not the mode that is installed (${installed})`,
          remedy: 'correct the plan, or run switchback uninstall, then switchback install',
        },
      ];

type Install = (pair: Pair, report: (line: string) => void) => Promise<void>;

/** Where the application mirrors nothing stands in its way: the tables are tracked, no trigger is made. */
const trackOnly: Install = async ({ source, control }) => {
  await source.run(`UPDATE ${qualified(control, 'tracked_table')} SET installed_at = NOW(6)`);
};

const INSTALLS: Readonly<Record<Capture, Install>> = { triggers: installCapture, application: trackOnly };

/** @throws ConfigError when the other mode is installed */
export async function installMode(
  pair: Pair,
  capture: Capture,
  report: (line: string) => void = () => {},
): Promise<void> {
  const problems = otherMode(capture, await installedCapture(pair.source, pair.control));
  if (problems.length > 0) throw new ConfigError(problems);
  await pair.source.run(`UPDATE ${qualified(pair.control, 'version')} SET capture = ? WHERE id = 1`, [
    capture,
  ]);
  await INSTALLS[capture](pair, report);
}

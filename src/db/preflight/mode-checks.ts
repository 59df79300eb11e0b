/** The mode of capture: is it the one that stands, and may this user do what it asks? */
import { DatabaseError, type Problem } from '../../domain/errors.ts';
import { installedCapture, otherMode } from '../capture-install.ts';
import { ident, qualified } from '../sql.ts';
import type { Survey } from './survey.ts';

export async function installedMode({ plan, source }: Survey): Promise<Problem[]> {
  if (source === null) return [];
  try {
    return otherMode(plan.capture, await installedCapture(source.db, plan.control.schema));
  } catch (error) {
    // Whoever may not read the control schema hears so from the check of grants.
    if (error instanceof DatabaseError && error.errno === DENIED) return [];
    throw error;
  }
}

/** Some versions ask for more than SELECT before a row may be locked: tried, without locking one. */
export async function rowLocks({ plan, source }: Survey): Promise<Problem[]> {
  if (source === null) return [];
  const problems: Problem[] = [];
  for (const { name } of plan.tables) {
    if (!source.tables.has(name)) continue;
    try {
      await source.db.rows(`SELECT 1 FROM ${qualified(source.schema, name)} WHERE FALSE LOCK IN SHARE MODE`);
    } catch (error) {
      if (!(error instanceof DatabaseError) || error.errno !== DENIED) throw error;
      problems.push({
        field: `tables.${name}`,
        value: source.user,
        problem: 'may not lock rows, which backfill and verdicts must for moments',
        remedy: `GRANT LOCK TABLES ON ${ident(source.schema)}.* TO ${source.user}`,
      });
    }
  }
  return problems;
}

const DENIED = 1142;

/**
 * Looks at both servers before anything is installed, and says everything that is in the way at once,
 * each with the way out of it. Nothing is changed on any server.
 *
 * One row per check; a check that cannot be carried out is itself a problem: preflight fails closed.
 */
import type { Capture } from '../domain/capture.ts';
import type { Problem } from '../domain/errors.ts';
import type { Plan } from '../domain/plan.ts';
import { cascades } from './preflight/cascade-checks.ts';
import * as modes from './preflight/mode-checks.ts';
import * as servers from './preflight/server-checks.ts';
import { takeSurvey, type Sides, type Survey } from './preflight/survey.ts';
import * as tables from './preflight/table-checks.ts';
import { inEachSchema } from './preflight/each-schema.ts';
import { outsideKeys } from './preflight/outside-keys.ts';
import { nothingWrites, targetTables } from './preflight/target-checks.ts';
import * as tenants from './preflight/tenant-checks.ts';

export { describeDifferences } from './preflight/differences.ts';

type Check = (survey: Survey) => readonly Problem[] | Promise<readonly Problem[]>;

const CHECKS: Readonly<Record<string, Check>> = {
  versions: servers.versions,
  'different places': servers.differentPlaces,
  writable: servers.writable,
  schemas: servers.schemasExist,
  'binary log': servers.binaryLog,
  grants: servers.grants,
  'mode of capture': modes.installedMode,
  'row locks': modes.rowLocks,
  packets: servers.packets,
  'case of names': servers.nameCase,
  tables: tables.tablesExist,
  'primary keys': tables.primaryKeys,
  'unique keys': tables.uniqueKeys,
  'column types': tables.columnKinds,
  'time columns': tables.timeColumns,
  cascades,
  'keys to other schemas': outsideKeys,
  tenancies: tenants.tenancies,
  'tenant ids of the plan': tenants.tenantForms,
  'tenant ids of the data': tenants.twins,
  'target tables': targetTables,
  'triggers and events of the target': nothingWrites,
};

/** Checks of one mode of capture only. */
const ONLY_IN: Readonly<Record<string, Capture>> = {
  'binary log': 'triggers',
  cascades: 'triggers',
  'row locks': 'application',
};

/** @returns everything that is in the way; nothing: the plan can be installed and started */
export const preflight = (plan: Plan, sides: Sides): Promise<Problem[]> =>
  inEachSchema(plan, sides, (one) => lookAt(one, sides));

async function lookAt(plan: Plan, sides: Sides): Promise<Problem[]> {
  const { survey, unread } = await takeSurvey(plan, sides);
  const found = await Promise.all(
    Object.entries(CHECKS).map(async ([name, check]): Promise<readonly Problem[]> => {
      if ((ONLY_IN[name] ?? plan.capture) !== plan.capture) return [];
      try {
        return await check(survey);
      } catch (error) {
        const problem = `could not be checked: ${(error as Error).message}`;
        return [{ field: name, value: '', problem, remedy: 'mend this and run the check again' }];
      }
    }),
  );
  return [...unread, ...found.flat()];
}

/** Where every tenant has a schema of its own, whatever is looked at is looked at in each of them. */
import type { Problem } from '../../domain/errors.ts';
import type { Plan } from '../../domain/plan.ts';
import { planOf, schemaOf, tenantsWithSchemas } from '../../domain/tenant-schema.ts';
import type { Sides } from './survey.ts';

/** The plan itself, or the plan as each tenant's schemas see it. */
export const plansBySchema = (plan: Plan): Plan[] => {
  const tenants = tenantsWithSchemas(plan);
  return tenants.length === 0 ? [plan] : tenants.map((tenant) => planOf(plan, tenant));
};

/**
 * Problems of every schema. What all tenants have in common is said once; what one has, with its name before it.
 *
 * @param look at the plan of one schema
 */
export async function inEachSchema(
  plan: Plan,
  sides: Sides,
  look: (plan: Plan) => Promise<readonly Problem[]>,
): Promise<Problem[]> {
  const tenants = tenantsWithSchemas(plan);
  if (tenants.length === 0) return [...(await look(plan))];
  const folded = await foldedNames(plan, sides).catch(() => []);
  const found = new Map<string, { problem: Problem; of: string[] }>();
  for (const tenant of tenants) {
    for (const problem of await look(planOf(plan, tenant))) {
      const id = JSON.stringify(problem);
      const known = found.get(id) ?? { problem, of: [] };
      found.set(id, { problem, of: [...known.of, tenant] });
    }
    // A server that can't be used can't be used for the next tenant either.
    if ([...found.values()].some(({ problem }) => isWholeSide(problem))) break;
  }
  return [
    ...folded,
    ...[...found.values()].map(({ problem, of }) =>
      of.length === tenants.length || isWholeSide(problem)
        ? problem
        : { ...problem, field: `${some(of)}: ${problem.field}` },
    ),
  ];
}

const isWholeSide = ({ field, problem }: Problem): boolean =>
  (field === 'source' || field === 'target') && problem.startsWith('cannot be used');

const NAMED_MAX = 3;

const some = (tenants: readonly string[]): string => {
  const rest = tenants.length - NAMED_MAX;
  return `${tenants.slice(0, NAMED_MAX).join(', ')}${rest > 0 ? ` and ${rest} more tenants` : ''}`;
};

/** A server that folds the case of names gives two tenants one schema. */
async function foldedNames(plan: Plan, sides: Sides): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const side of ['source', 'target'] as const) {
    const [row] = await sides[side].rows('SELECT @@lower_case_table_names AS folds');
    if (row?.['folds'] === '0') continue;
    for (const group of equalWhenFolded(plan)) {
      problems.push({
        field: `${side}.schema`,
        value: group.map((tenant) => schemaOf(plan[side].schema, tenant)).join('" and "'),
        problem: `are one schema to the ${side}, which folds the case of names (lower_case_table_names=${row?.['folds']})`,
        remedy: 'rename one of the tenants, or use a server with lower_case_table_names=0',
      });
    }
  }
  return problems;
}

export function equalWhenFolded(plan: Plan): string[][] {
  const groups = new Map<string, string[]>();
  for (const tenant of tenantsWithSchemas(plan)) {
    const folded = tenant.toLowerCase();
    groups.set(folded, [...(groups.get(folded) ?? []), tenant]);
  }
  return [...groups.values()].filter((group) => group.length > 1);
}

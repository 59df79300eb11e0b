/** What a plan says of a router: where the servers are, which schemas, and the bounds that gates and workflows count on. */
import { addressesOf, loadPlan, withRedisIfSet } from '../plan.ts';
import type { PlannedOptions, RouterOptions } from './options.ts';

const ADDRESSES = ['source', 'target', 'redis'] as const;
const WHICH = "give createRouter the path of the migration's plan, or its options without a plan";

/**
 * What is given beside the plan counts more than the plan, and a variable that it stands for need not be set.
 *
 * @throws ConfigError with every problem of the file and of the environment
 */
export async function withPlan({ plan: path, ...given }: PlannedOptions): Promise<RouterOptions> {
  const plan = withRedisIfSet(await loadPlan(path, WHICH));
  const missing = ADDRESSES.filter((field) => given[field] === undefined);
  const { dirtyAfter, mirrorBudget, lease, settle } = plan.durations;
  const options: Omit<RouterOptions, 'source' | 'target'> = {
    schema: { source: plan.source.schema, target: plan.target.schema },
    control: plan.control.schema,
    dirtyAfterMs: dirtyAfter,
    mirrorBudgetMs: mirrorBudget,
    leaseMs: lease,
    settleMs: settle,
    ...given,
  };
  // Whichever of both sides was not given is of the plan, or that has thrown.
  return { ...addressesOf(plan, missing), ...options } as RouterOptions;
}

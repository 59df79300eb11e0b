/** Redis only makes flips faster, so its absence is said and never an error: where it was looked for, and what to do. */
import type { Plan } from '../domain/plan.ts';
import type { Context } from './context.ts';
import { HERE } from './exit.ts';

/** A machine that is busy answers late. */
const WITHIN = 3_000;

/** @returns null when the plan names none, or its variable holds no address */
export function redisAway({ redis }: Plan, { env }: Context): string | null {
  if (redis === null) return null;
  const url = env[redis.urlEnv] ?? '';
  if (url === '') return `Redis is not used: ${redis.urlEnv} is not set`;
  return `Redis at ${addressOf(url)} cannot be reached; start it, or correct ${redis.urlEnv} ${HERE}`;
}

/** @returns what to say of it, if anything */
export async function lookAtRedis(plan: Plan, context: Context): Promise<string[]> {
  const { openPublisher } = await import('../connect.ts');
  const publisher = openPublisher(plan, context.env);
  try {
    const away = (await publisher.ready(WITHIN)) ? null : redisAway(plan, context);
    return away === null ? [] : [`${away}; without it nodes find a flip at their next poll`];
  } finally {
    publisher.close();
  }
}

/** Without its user. */
function addressOf(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    return 'an address that can not be read';
  }
}

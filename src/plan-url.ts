/** Addresses of a plan, read from the environment. The text of a fault never holds the address. */
import { ConfigError, type Problem } from './domain/errors.ts';
import type { Plan } from './domain/plan.ts';

type Env = Readonly<Record<string, string | undefined>>;
type Field = 'source' | 'target' | 'redis';

interface Scheme {
  readonly protocols: readonly string[];
  readonly example: string;
}

const DATABASE: Scheme = { protocols: ['mysql:'], example: 'mysql://user:password@host:3306' };
const REDIS: Scheme = { protocols: ['redis:', 'rediss:'], example: 'redis://host:6379' };

export interface PlanUrls {
  readonly source: string;
  readonly target: string;
  readonly redis: string | null;
}

/** The plan, without a Redis whose variable is not set: everything works without one, only slower. */
export const withRedisIfSet = <P extends Pick<Plan, 'redis'>>(plan: P, env: Env = process.env): P =>
  (env[plan.redis?.urlEnv ?? ''] ?? '') === '' ? { ...plan, redis: null } : plan;

/** @throws ConfigError naming every variable that is missing or malformed */
export function resolveUrls(plan: Pick<Plan, Field>, env: Env = process.env): PlanUrls {
  const { source, target, redis = null } = addressesOf(plan, ['source', 'target', 'redis'], env);
  return { source: source!, target: target!, redis };
}

/**
 * Of these fields alone, as far as the plan has them.
 *
 * @throws ConfigError as `resolveUrls` does
 */
export function addressesOf(
  plan: Pick<Plan, Field>,
  fields: readonly Field[],
  env: Env = process.env,
): Partial<Record<Field, string>> {
  const named = fields.flatMap((field) => {
    const endpoint = plan[field];
    return endpoint === null ? [] : [[field, endpoint.urlEnv] as const];
  });
  const problems = named.flatMap(([field, name]) => judge(name, env, field));
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.fromEntries(named.map(([field, name]) => [field, env[name]!]));
}

/**
 * @param field where the endpoint stands in the plan, for the message
 * @throws ConfigError when the variable is missing or holds no address
 */
export function resolveUrl(
  endpoint: { readonly urlEnv: string },
  env: Env = process.env,
  field?: Field,
): string {
  const problems = judge(endpoint.urlEnv, env, field ?? ('schema' in endpoint ? null : 'redis'));
  if (problems.length > 0) throw new ConfigError(problems);
  return env[endpoint.urlEnv]!;
}

function judge(name: string, env: Env, field: Field | null): Problem[] {
  const { protocols, example } = field === 'redis' ? REDIS : DATABASE;
  const value = env[name];
  const wrong = value === undefined || value === '' ? 'is not set' : malformed(value, protocols);
  if (wrong === null) return [];
  const remedy = `set it in the environment: ${name}=${example}`;
  const path = field === null ? 'urlEnv' : `${field}.urlEnv`;
  return [{ field: path, value: name, problem: `names an environment variable that ${wrong}`, remedy }];
}

function malformed(value: string, protocols: readonly string[]): string | null {
  let url: URL;
  try {
    url = new URL(value);
    decodeURIComponent(url.username);
    decodeURIComponent(url.password);
  } catch {
    return 'holds no well-formed address (percent-encode @ : / % in a password)';
  }
  if (!protocols.includes(url.protocol)) return `holds an address that does not start with ${protocols[0]}//`;
  if (url.hostname === '') return 'holds an address without a host';
  return protocols.includes('mysql:') && url.username === '' ? 'holds an address without a user' : null;
}

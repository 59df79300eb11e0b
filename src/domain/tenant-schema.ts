/**
 * A schema per tenant: the plan writes `app_{tenant}` where other plans name one schema.
 *
 * An id stands in the name as it is written, so the ids that can are those that every server and every file
 * system spells alike. That also keeps two tenants from ever sharing a schema, except where a server folds
 * the case of names: preflight looks for that.
 */
import { SchemaMismatchError } from './errors.ts';
import type { Plan } from './plan.ts';

const PLACE = '{tenant}';
const NAME_MAX = 64;
const SPELLED_ALIKE = /^[0-9A-Za-z_$.-]+$/;
const SYSTEM_SCHEMAS = new Set(['mysql', 'sys', 'information_schema', 'performance_schema']);

export const isSystemSchema = (name: string): boolean => SYSTEM_SCHEMAS.has(name.toLowerCase());

export const isPerTenant = (schema: string): boolean => schema.includes(PLACE);

/** Exactly one place for the id, or ids could run into each other. */
export const hasOnePlace = (schema: string): boolean => schema.split(PLACE).length === 2;

/** @returns why the id can't name a schema; null: it can */
export function whyNoSchema(template: string, tenant: string): string | null {
  if (!SPELLED_ALIKE.test(tenant)) return 'holds more than letters, digits, _, $, - and .';
  const name = template.replace(PLACE, () => tenant);
  if (name.length > NAME_MAX)
    return `makes a schema name of ${name.length} characters, more than ${NAME_MAX}`;
  return isSystemSchema(name) ? `names ${name}, the server's own schema` : null;
}

/**
 * The schema of a tenant; one that is the same for all stays as it is.
 *
 * @throws SchemaMismatchError for an id that can't name a schema
 */
export function schemaOf(template: string, tenant: string): string {
  if (!isPerTenant(template)) return template;
  const why = whyNoSchema(template, tenant);
  if (why !== null) throw new SchemaMismatchError(`a tenant has no schema like ${template}: its id ${why}`);
  return template.replace(PLACE, () => tenant);
}

/** The plan as it looks from one tenant's schemas. */
export const planOf = (plan: Plan, tenant: string): Plan =>
  isPerTenant(plan.source.schema)
    ? {
        ...plan,
        source: { ...plan.source, schema: schemaOf(plan.source.schema, tenant) },
        target: { ...plan.target, schema: schemaOf(plan.target.schema, tenant) },
      }
    : plan;

/** Tenants that have schemas of their own; none where all share one. */
export const tenantsWithSchemas = (plan: Plan): string[] =>
  isPerTenant(plan.source.schema) ? plan.waves.flatMap((wave) => wave.tenants) : [];

/** A plan in which every tenant has a schema of its own: what is one, and which ids can name a schema. */
import { describe, expect, it } from 'vitest';

import { ConfigError } from '../src/domain/errors.ts';
import { planOf, schemaOf } from '../src/domain/tenant-schema.ts';
import { parsePlan } from '../src/plan.ts';

interface Given {
  readonly source?: string;
  readonly target?: string;
  readonly tables?: string;
  readonly tenants?: readonly string[];
}

const file = ({
  source = 'app_{tenant}',
  target = 'app_{tenant}',
  tables,
  tenants = ['acme'],
}: Given): string =>
  [
    'name: portal',
    `source: { urlEnv: A, schema: ${JSON.stringify(source)} }`,
    `target: { urlEnv: B, schema: ${JSON.stringify(target)} }`,
    `tables: ${tables ?? '{ orders: { tenant: schema }, lines: { tenant: schema } }'}`,
    `waves: [{ name: first, tenants: ${JSON.stringify(tenants)} }]`,
  ].join('\n');

function lines(given: Given): string[] {
  try {
    parsePlan(file(given), 'plan.yaml');
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(
      ({ field, value, problem, remedy }) => `${field} | ${value} | ${problem}; ${remedy}`,
    );
  }
}

describe('a schema per tenant', () => {
  it('is read, and looks like any plan from one tenant', () => {
    const plan = parsePlan(file({ target: 'portal_{tenant}' }), 'plan.yaml');

    expect(plan.tables).toEqual([
      { name: 'orders', tenancy: { kind: 'schema' }, time: null },
      { name: 'lines', tenancy: { kind: 'schema' }, time: null },
    ]);
    expect(planOf(plan, 'acme').source.schema).toBe('app_acme');
    expect(planOf(plan, 'acme').target.schema).toBe('portal_acme');
  });

  it.each<[string, Given, string]>([
    [
      'a source without a place for the id',
      { source: 'app' },
      "source.schema (line 2) | app | is not a schema for each tenant, as the tables say; write once where the tenant's id stands, such as app_{tenant}",
    ],
    [
      'a target in which tenants would meet',
      { target: 'app' },
      "target.schema (line 3) | app | is not a schema for each tenant, as the tables say; write once where the tenant's id stands, such as app_{tenant}",
    ],
    [
      'two places for the id',
      { source: '{tenant}_{tenant}' },
      "source.schema (line 2) | {tenant}_{tenant} | is not a schema for each tenant, as the tables say; write once where the tenant's id stands, such as app_{tenant}",
    ],
    [
      'a place for the id and tables with a column',
      { target: 'app', tables: '{ orders: { tenant: { column: tenant_id } } }' },
      'source.schema (line 2) | app_{tenant} | is a schema for each tenant, but no table is tenant: schema; write tenant: schema for every table, or name one schema',
    ],
    [
      'another tenancy beside it',
      { tables: '{ orders: { tenant: schema }, countries: { tenant: shared } }' },
      'tables.countries.tenant (line 4) |  | stands beside tables with a schema for each tenant; write tenant: schema, or move it with a plan of its own',
    ],
    [
      'a tenant that names the control schema',
      { source: '{tenant}', target: '{tenant}', tenants: ['switchback'] },
      "waves[0].tenants[0] (line 5) | switchback | can't stand in source.schema {tenant}: it names the control schema; give this tenant a schema whose name holds its id, or take it out",
    ],
    [
      "a tenant that names the server's own schema",
      { source: '{tenant}', tenants: ['MySQL'] },
      "waves[0].tenants[0] (line 5) | MySQL | can't stand in source.schema {tenant}: it names MySQL, the server's own schema; give this tenant a schema whose name holds its id, or take it out",
    ],
  ])('is refused with %s', (_, given, expected) => {
    const found = lines(given).map((line) => line.replace('"shared"', ''));
    expect(found.map((line) => line.replace('| shared |', '|  |'))).toContain(expected);
  });

  it.each([
    ["o'hara"],
    ['a`b'],
    ['100%'],
    ['../mysql'],
    ['a/b'],
    ['a b'],
    ['acme '],
    ['😀'],
    ['müller'],
    ['x'.repeat(61)],
    ['x'.repeat(255)],
    ['{tenant}'],
    ['acme\u0000'],
  ])('refuses the tenant id %j with one clear line', (tenant) => {
    const found = lines({ tenants: ['globex', tenant] });

    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(
      /^waves\[0\]\.tenants\[1\] \(line 5\) \| .{1,80} \| can't stand in source\.schema app_\{tenant\}: it /u,
    );
    expect(() => schemaOf('app_{tenant}', tenant)).toThrow('a tenant has no schema like app_{tenant}');
  });

  it.each(['acme', 'ACME', '007', 'a.b', 'a-b', 'a$b', '_x', 'x'.repeat(60)])('takes %s', (tenant) => {
    expect(lines({ tenants: [tenant] })).toEqual([]);
    expect(schemaOf('app_{tenant}', tenant)).toBe(`app_${tenant}`);
  });
});

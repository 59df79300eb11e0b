/**
 * Rules of a plan that look at several places of the file. They read the raw values, so that they speak up
 * beside the complaints about the shape, and leave alone what the shape already complains about.
 */
import { nearest, oneOf } from './domain/nearest.ts';
import { SHARED, UNRESOLVED } from './domain/stage.ts';
import { hasOnePlace, isPerTenant, isSystemSchema, whyNoSchema } from './domain/tenant-schema.ts';

export interface Finding {
  readonly path: readonly (string | number)[];
  readonly problem: string;
  readonly remedy: string;
  /** Shown instead of what stands at the path; '' shows nothing. */
  readonly value?: string;
}

type Raw = Readonly<Record<string, unknown>>;

const TENANT_MAX = 255;
const VALUE_MAX = 80;

const isBlock = (value: unknown): value is Raw =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const block = (value: unknown): Raw => (isBlock(value) ? value : {});
const items = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

export function applyRules(plan: unknown): Finding[] {
  if (!isBlock(plan)) return [];
  return [schemas, schemaPerTenant, tablesPresent, parents, waves].flatMap((rule) => rule(plan));
}

function schemas(plan: Raw): Finding[] {
  const findings: Finding[] = [];
  const name = (side: string): unknown => block(plan[side])['schema'];
  const control = name('control') ?? 'switchback';
  for (const side of ['source', 'target', 'control']) {
    const schema = name(side);
    if (typeof schema === 'string' && isSystemSchema(schema)) {
      findings.push({
        path: [side, 'schema'],
        problem: "is the server's own schema",
        remedy: 'name another one',
      });
    }
    if (side !== 'control' && schema === control) {
      findings.push({
        path: [side, 'schema'],
        problem: 'is the control schema too',
        remedy: 'give control.schema a name that no application uses',
      });
    }
  }
  const [source, target] = [block(plan['source']), block(plan['target'])];
  if (typeof source['urlEnv'] !== 'string' || source['urlEnv'] !== target['urlEnv']) return findings;
  if (source['schema'] !== target['schema']) return findings;
  findings.push({
    path: ['target'],
    problem: 'is the same place as the source',
    remedy: 'give the target its own variable in urlEnv, or its own schema',
  });
  return findings;
}

/** `app_{tenant}` and `tenant: schema` belong together, on both sides and for every table. */
function schemaPerTenant(plan: Raw): Finding[] {
  const tables = Object.entries(block(plan['tables']));
  const others = tables.filter(([, table]) => block(table)['tenant'] !== 'schema').map(([name]) => name);
  const isWanted = others.length < tables.length;
  const templates = (['source', 'target'] as const).flatMap((side) => {
    const template = block(plan[side])['schema'];
    return typeof template === 'string' ? [{ side, template }] : [];
  });
  const say = (path: Finding['path'], problem: string, remedy: string): Finding => ({
    path,
    problem,
    remedy,
  });
  const misnamed = templates.flatMap(({ side, template }): Finding[] => {
    const path = [side, 'schema'];
    if (!isWanted && isPerTenant(template) && tables.length > 0)
      return [
        say(
          path,
          'is a schema for each tenant, but no table is tenant: schema',
          'write tenant: schema for every table, or name one schema',
        ),
      ];
    return isWanted && !hasOnePlace(template)
      ? [
          say(
            path,
            'is not a schema for each tenant, as the tables say',
            "write once where the tenant's id stands, such as app_{tenant}",
          ),
        ]
      : [];
  });
  if (!isWanted || misnamed.length > 0) return misnamed;
  const beside = others.map((name) =>
    say(
      ['tables', name, 'tenant'],
      'stands beside tables with a schema for each tenant',
      'write tenant: schema, or move it with a plan of its own',
    ),
  );
  return [...beside, ...tenantsWithoutSchema(plan, templates)];
}

function tenantsWithoutSchema(
  plan: Raw,
  templates: readonly { readonly side: string; readonly template: string }[],
): Finding[] {
  const control = block(plan['control'])['schema'] ?? 'switchback';
  return items(plan['waves']).flatMap((wave, index) =>
    items(block(wave)['tenants']).flatMap((given, position): Finding[] => {
      const tenant = String(given);
      const found = templates.flatMap(({ side, template }) => {
        const why = whyNoSchema(template, tenant);
        if (why !== null) return [{ side, template, why }];
        const isControl = template.replace('{tenant}', () => tenant) === control;
        return isControl ? [{ side, template, why: 'names the control schema' }] : [];
      });
      const [first] = found;
      if (first === undefined || tenant === '') return [];
      const value = tenant.length > VALUE_MAX ? `${Array.from(tenant).slice(0, 20).join('')}…` : tenant;
      const problem = `can't stand in ${first.side}.schema ${first.template}: it ${first.why}`;
      const remedy = 'give this tenant a schema whose name holds its id, or take it out';
      return [{ path: ['waves', index, 'tenants', position], value, problem, remedy }];
    }),
  );
}

function tablesPresent(plan: Raw): Finding[] {
  if (!isBlock(plan['tables']) || Object.keys(plan['tables']).length > 0) return [];
  return [
    {
      path: ['tables'],
      problem: 'is empty',
      remedy: 'name at least one table: messages: { tenant: { column: tenant_id } }',
    },
  ];
}

function parents(plan: Raw): Finding[] {
  const tables = block(plan['tables']);
  const parentOf = (name: string): unknown => block(block(tables[name])['tenant'])['parent'];
  return Object.keys(tables).flatMap((name): Finding[] => {
    const parent = parentOf(name);
    if (typeof parent !== 'string') return [];
    const path = ['tables', name, 'tenant', 'parent'];
    if (!Object.hasOwn(tables, parent)) {
      const hint = nearest(parent, Object.keys(tables));
      const remedy = hint === null ? 'add it to tables' : `did you mean ${hint}? else add it to tables`;
      return [{ path, problem: 'is not among the tables of the plan', remedy }];
    }
    const chain = [name];
    let next: unknown = parent;
    while (typeof next === 'string' && Object.hasOwn(tables, next) && !chain.includes(next)) {
      chain.push(next);
      next = parentOf(next);
    }
    if (typeof next === 'string' && chain.includes(next)) {
      const circle = [...chain, next].join(' → ');
      return [
        {
          path,
          problem: `leads in a circle (${circle})`,
          remedy: 'one of these tables needs a tenant column',
        },
      ];
    }
    if (block(tables[chain.at(-1)!])['tenant'] !== 'shared') return [];
    return [
      {
        path,
        problem: `leads to ${chain.at(-1)!}, which is shared`,
        remedy: `write tenant: shared for ${name} too`,
      },
    ];
  });
}

function waves(plan: Raw): Finding[] {
  const list = items(plan['waves']);
  const tables = Object.values(block(plan['tables']));
  const allShared = tables.length > 0 && tables.every((table) => block(table)['tenant'] === 'shared');
  if (list.length === 0 && !allShared && (plan['waves'] === undefined || Array.isArray(plan['waves']))) {
    const problem = plan['waves'] === undefined ? 'is missing' : 'is empty';
    return [
      {
        path: ['waves'],
        value: '',
        problem,
        remedy: 'name the tenants: - { name: internal, tenants: [acme] }',
      },
    ];
  }
  const names = new Map<string, number>();
  const tenants = new Map<string, Place>();
  return list.flatMap((wave, index): Finding[] => {
    const { name, tenants: own } = block(wave);
    const findings: Finding[] = [];
    if (typeof name === 'string') {
      const before = names.get(name);
      if (before !== undefined) {
        const remedy = 'rename one of the two, or merge them';
        findings.push({
          path: ['waves', index, 'name'],
          problem: `is the name of wave ${before + 1} too`,
          remedy,
        });
      }
      names.set(name, index);
    }
    const title = typeof name === 'string' ? name : String(index + 1);
    items(own).forEach((value, position) => {
      if (typeof value !== 'string' && typeof value !== 'number') return;
      findings.push(
        ...tenantFindings(String(value), ['waves', index, 'tenants', position], tenants, { index, title }),
      );
    });
    return findings;
  });
}

interface Place {
  readonly index: number;
  readonly title: string;
}

function tenantFindings(
  tenant: string,
  path: readonly (string | number)[],
  seen: Map<string, Place>,
  here: Place,
): Finding[] {
  const before = seen.get(tenant);
  if (before === undefined) seen.set(tenant, here);
  if (tenant === '')
    return [{ path, problem: 'is empty', remedy: 'write the id as it stands in the tenant column' }];
  if (tenant === SHARED || tenant === UNRESOLVED) {
    const remedy = `take it out: Switchback keeps ${oneOf([SHARED, UNRESOLVED])} for itself, and shared tables move without being named`;
    return [{ path, problem: 'is a reserved name', remedy }];
  }
  if (Array.from(tenant).length > TENANT_MAX) {
    const value = `${tenant.slice(0, 20)}…`;
    return [
      {
        path,
        value,
        problem: `is longer than ${TENANT_MAX} characters`,
        remedy: 'tenant ids have at most that many',
      },
    ];
  }
  if (before === undefined) return [];
  const where = before.index === here.index ? 'is named twice in its wave' : `is in wave ${before.title} too`;
  return [{ path, problem: where, remedy: 'a tenant moves once: leave it in one wave' }];
}

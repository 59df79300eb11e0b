/** Whose row is it? Columns and indexes of the tenancy, and the tenant ids that stand in the data. */
import { TransientDatabaseError, type Problem } from '../../domain/errors.ts';
import type { Tenancy } from '../../domain/plan.ts';
import { SHARED, UNRESOLVED } from '../../domain/stage.ts';
import type { Column, Table } from '../catalog.ts';
import { kindOf } from '../kinds.ts';
import { hexLiteral, ident, qualified } from '../sql.ts';
import { tenantBytes } from '../tenancy.ts';
import type { Found, Survey } from './survey.ts';
import { columnNamed, createIndex, hintFor, leadsWith } from './table-checks.ts';

const TENANT_MAX = 255;
const TENANT_KINDS = new Set(['integer', 'text', 'binary']);
const NAMED_MAX = 10;

type TenancyOf<Kind extends Tenancy['kind']> = Extract<Tenancy, { kind: Kind }>;

export function tenancies({ plan, source }: Survey): Problem[] {
  if (source === null) return [];
  return plan.tables.flatMap(({ name, tenancy }) => {
    const table = source.tables.get(name);
    if (table === undefined) return [];
    if (tenancy.kind === 'column') return tenantColumn(table, tenancy);
    return tenancy.kind === 'parent' ? parentColumns(table, tenancy, source) : [];
  });
}

function tenantColumn(table: Table, { column: name }: TenancyOf<'column'>): Problem[] {
  const field = `tables.${table.name}.tenant.column`;
  const column = columnNamed(table, name);
  const say = (problem: string, remedy: string): Problem => ({ field, value: name, problem, remedy });
  if (column === null) return [say('is no column of the table', hintFor(table, name))];
  const problems: Problem[] = [];
  if (column.nullable)
    problems.push(say('may be NULL, and such a row belongs to nobody', 'make it NOT NULL'));
  if (column.generated)
    problems.push(say('is a generated column', 'name the column that it is computed from'));
  const kind = kindOf(column);
  const length = (column.characters ?? 0) * (kind === 'binary' ? 2 : 1);
  if (!TENANT_KINDS.has(kind ?? '')) {
    problems.push(say(`is ${column.declared}`, 'a tenant column is an integer, a text or binary bytes'));
  } else if (length > TENANT_MAX) {
    const most = kind === 'binary' ? `${Math.floor(TENANT_MAX / 2)} bytes` : `${TENANT_MAX} characters`;
    problems.push(say(`is ${column.declared}, too long for a tenant id`, `shorten it to at most ${most}`));
  }
  if (!table.indexes.some((index) => leadsWith(index, column))) {
    problems.push(say('has no index that starts with it', createIndex(table, [name])));
  }
  return problems;
}

function parentColumns(
  table: Table,
  { parent, column, references }: TenancyOf<'parent'>,
  source: Found,
): Problem[] {
  const base = `tables.${table.name}.tenant`;
  const problems: Problem[] = [];
  const own = columnNamed(table, column);
  const sayColumn = (problem: string, remedy: string): void => {
    problems.push({ field: `${base}.column`, value: column, problem, remedy });
  };
  if (own === null) sayColumn('is no column of the table', hintFor(table, column));
  if (own?.nullable === true) sayColumn('may be NULL, and such a row belongs to nobody', 'make it NOT NULL');
  if (own !== null && !table.indexes.some((index) => leadsWith(index, own))) {
    sayColumn('has no index that starts with it', createIndex(table, [column]));
  }
  const above = source.tables.get(parent);
  if (above === undefined) return problems;
  const found = columnNamed(above, references);
  const sayReference = (problem: string, remedy: string): void => {
    problems.push({ field: `${base}.references`, value: references, problem, remedy });
  };
  if (found === null) {
    sayReference(`is no column of ${parent}`, hintFor(above, references));
    return problems;
  }
  const unique = above.indexes.some(
    (index) =>
      index.unique && !index.prefixed && index.columns.length === 1 && index.columns[0] === references,
  );
  if (!unique) sayReference(`is not unique in ${parent}`, 'refer to its primary key or to a unique column');
  if (own !== null && kindOf(own) !== kindOf(found)) {
    sayReference(`is ${found.declared}, but ${column} is ${own.declared}`, 'both must have one type');
  }
  return problems;
}

/** Could the tenants of the plan stand in the column at all? A slip of the pen would move nobody. */
export function tenantForms({ plan, source }: Survey): Problem[] {
  if (source === null) return [];
  const kinds = new Map(columnsOf(plan, source).map(({ column }) => [kindOf(column), column]));
  return plan.waves.flatMap((wave) =>
    wave.tenants.flatMap((tenant) =>
      [...kinds].flatMap(([kind, column]): Problem[] => {
        const fits =
          kind === 'integer'
            ? /^(?:0|-?[1-9]\d*)$/.test(tenant)
            : kind !== 'binary' || /^(?:[0-9a-f]{2})+$/.test(tenant);
        if (fits) return [];
        const remedy = kind === 'integer' ? 'write the number' : 'write the bytes in lower-case hex';
        const problem = `cannot stand in the tenant column ${column.name} (${column.declared})`;
        return [{ field: `waves.${wave.name}`, value: tenant, problem, remedy }];
      }),
    ),
  );
}

interface Holder {
  readonly table: Table;
  readonly column: Column;
}

function columnsOf(plan: Survey['plan'], source: Found): Holder[] {
  return plan.tables.flatMap(({ name, tenancy }) => {
    const table = source.tables.get(name);
    if (table === undefined || tenancy.kind !== 'column') return [];
    const column = columnNamed(table, tenancy.column);
    return column === null || !TENANT_KINDS.has(kindOf(column) ?? '') ? [] : [{ table, column }];
  });
}

/**
 * Tenants are told apart by their bytes, but a window finds rows through the column's collation: ids that it
 * calls equal would be moved together. Looked for in the data and in the plan, over all tables.
 */
export async function twins({ plan, source }: Survey): Promise<Problem[]> {
  if (source === null) return [];
  const holders = columnsOf(plan, source).filter(({ column }) => kindOf(column) === 'text');
  const problems: Problem[] = [];
  const tenants = new Set(plan.waves.flatMap((wave) => wave.tenants));
  for (const holder of holders) {
    const found = await tenantsIn(source, holder);
    problems.push(...found.problems);
    for (const tenant of found.tenants) tenants.add(tenant);
  }
  for (const reserved of [SHARED, UNRESOLVED]) {
    if (!tenants.has(reserved)) continue;
    const remedy = 'Switchback keeps this name for itself: rename the tenant';
    problems.push({
      field: 'tables',
      value: reserved,
      problem: 'is the id of a tenant in the source',
      remedy,
    });
  }
  const collations = new Map(holders.map((holder) => [holder.column.collation, holder]));
  for (const holder of collations.values()) {
    for (const group of await equalUnder(source, holder.column, [...tenants])) {
      problems.push(twinProblem(holder, group));
    }
  }
  return problems;
}

const twinProblem = ({ table, column }: Holder, group: readonly string[]): Problem => ({
  field: `tables.${table.name}.tenant.column`,
  value: group.slice(0, NAMED_MAX).join('" and "'),
  problem: `are different tenants, but one to the collation ${column.collation} of ${column.name}`,
  remedy: 'give the column a binary collation (utf8mb4_bin or utf8mb4_0900_bin), or merge the tenants',
});

interface Listed {
  readonly tenants: readonly string[];
  readonly problems: readonly Problem[];
}

/** Every id that stands in the column; under a collation that calls two equal, both come. */
async function tenantsIn(source: Found, holder: Holder): Promise<Listed> {
  const { table, column } = holder;
  try {
    return { tenants: await distinctIds(source, holder), problems: [] };
  } catch (error) {
    if (!(error instanceof TransientDatabaseError)) throw error;
  }
  try {
    return { tenants: await distinctIdsOneByOne(source, holder), problems: [] };
  } catch (error) {
    if (!(error instanceof TransientDatabaseError)) throw error;
    // Fails closed: a table that is too large to be read within the time might hold such ids.
    const problem = `could not be searched for ids that its collation calls equal (${error.message})`;
    const remedy = 'repeat when the source has less to do, or give the column the collation utf8mb4_0900_bin';
    const field = `tables.${table.name}.tenant.column`;
    return { tenants: [], problems: [{ field, value: column.name, problem, remedy }] };
  }
}

async function distinctIds(
  source: Pick<Found, 'db'>,
  { table, column }: Holder,
  where = '',
): Promise<string[]> {
  const bytes = tenantBytes(column, ident(column.name));
  const rows = await source.db.raw(
    `SELECT DISTINCT ${bytes} FROM ${qualified(table.schema, table.name)} ${where}`,
  );
  return rows.map(([id]) => (id ?? Buffer.alloc(0)).toString('utf8'));
}

/**
 * For tables that take longer than one statement may: the index is skipped through from id to id, then each
 * id's own rows are read.
 */
export async function distinctIdsOneByOne(source: Pick<Found, 'db'>, holder: Holder): Promise<string[]> {
  const { table, column } = holder;
  const bytes = tenantBytes(column, 'd.id');
  const skipped = `SELECT DISTINCT ${ident(column.name)} AS id FROM ${qualified(table.schema, table.name)}`;
  const ids = (await source.db.raw(`SELECT ${bytes} FROM (${skipped}) d`)).map(([id]) =>
    id!.toString('utf8'),
  );
  if (isExact(column)) return ids;
  const found: string[] = [];
  for (const id of ids) {
    found.push(
      ...(await distinctIds(source, holder, `WHERE ${ident(column.name)} = ${inColumn(column, id)}`)),
    );
  }
  return found;
}

/** The id as a value of the column. */
const inColumn = ({ charset, collation }: Column, id: string): string =>
  `CONVERT(CONVERT(${hexLiteral(Buffer.from(id, 'utf8'))} USING utf8mb4) USING ${charset}) COLLATE ${collation}`;

/** Collations under which equal means the same bytes. */
const isExact = ({ collation }: Column): boolean =>
  /_0900_bin$|_nopad_bin$/.test(collation ?? '') || collation === 'binary';

/** All but the 9.0-weight and NO PAD collations take trailing spaces for nothing. */
const padsSpaces = (collation: string): boolean => !/_0900_|nopad/.test(collation);

const AT_ONCE = 300;

/** Groups of two and more ids that the collation calls equal: those with the same weights. */
async function equalUnder(source: Found, column: Column, tenants: readonly string[]): Promise<string[][]> {
  if (isExact(column)) return [];
  const groups = new Map<string, string[]>();
  for (let start = 0; start < tenants.length; start += AT_ONCE) {
    const some = tenants.slice(start, start + AT_ONCE);
    const weights = some.map((tenant) => {
      const text = padsSpaces(column.collation ?? '') ? tenant.replace(/ +$/, '') : tenant;
      return `HEX(WEIGHT_STRING(${inColumn(column, text)}))`;
    });
    const [row] = await source.db.raw(`SELECT ${weights.join(', ')}`);
    some.forEach((tenant, index) => {
      const weight = row![index]?.toString('latin1') ?? '';
      groups.set(weight, [...(groups.get(weight) ?? []), tenant]);
    });
  }
  return [...groups.values()].filter((group) => group.length > 1);
}

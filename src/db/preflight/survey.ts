/** What preflight reads of the two servers before any check runs. Nothing is changed. */
import type { Problem } from '../../domain/errors.ts';
import type { Plan } from '../../domain/plan.ts';
import { readTables, type Table } from '../catalog.ts';
import type { Database, Flavour, TextRow } from '../database.ts';
import { parseGrants, type Grants } from './grants.ts';

export interface Sides {
  readonly source: Database;
  readonly target: Database;
}

/** One server as it was found. */
export interface Found {
  readonly side: 'source' | 'target';
  readonly db: Database;
  readonly flavour: Flavour;
  /** Major and minor number. */
  readonly version: readonly [number, number];
  readonly versionText: string;
  readonly schema: string;
  readonly hasSchema: boolean;
  readonly variables: Readonly<Record<string, string>>;
  readonly grants: Grants;
  /** As GRANT takes it: `'user'@'host'`. */
  readonly user: string;
  /** Tables of the plan that exist, by name. */
  readonly tables: ReadonlyMap<string, Table>;
  /** Everything that has a table's name in the schema. */
  readonly relations: ReadonlyMap<string, { readonly type: string; readonly engine: string }>;
}

export interface Survey {
  readonly plan: Plan;
  /** null when the server could not be read; the reason is among the problems already. */
  readonly source: Found | null;
  readonly target: Found | null;
}

const VARIABLES = [
  'log_bin',
  'binlog_format',
  'log_bin_trust_function_creators',
  'max_allowed_packet',
  'read_only',
  'super_read_only',
  'innodb_read_only',
  'lower_case_table_names',
  'server_uuid',
  'hostname',
  'port',
  'datadir',
];

export async function takeSurvey(plan: Plan, sides: Sides): Promise<{ survey: Survey; unread: Problem[] }> {
  const unread: Problem[] = [];
  const look = async (side: 'source' | 'target'): Promise<Found | null> => {
    try {
      return await readSide(plan, side, sides[side]);
    } catch (error) {
      unread.push({
        field: side,
        value: sides[side].address,
        problem: `cannot be used: ${(error as Error).message}`,
        remedy: `check that the server is up, and user, password and host in ${plan[side].urlEnv}`,
      });
      return null;
    }
  };
  const [source, target] = await Promise.all([look('source'), look('target')]);
  return { survey: { plan, source, target }, unread };
}

async function readSide(plan: Plan, side: 'source' | 'target', db: Database): Promise<Found> {
  const { schema } = plan[side];
  const { flavour, version } = await db.server();
  const names = plan.tables.map(({ name }) => name);
  const [variables, grants, [account], schemata, relations, tables] = await Promise.all([
    db.rows(
      `SHOW GLOBAL VARIABLES WHERE Variable_name IN (${VARIABLES.map((name) => `'${name}'`).join(', ')})`,
    ),
    db.rows('SHOW GRANTS'),
    db.rows('SELECT CURRENT_USER() AS account'),
    db.rows('SELECT SCHEMA_NAME AS name FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?', [schema]),
    db.rows(
      'SELECT TABLE_NAME AS name, TABLE_TYPE AS type, ENGINE AS engine FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?',
      [schema],
    ),
    readTables(db, schema, names),
  ]);
  return {
    side,
    db,
    flavour,
    version: numbers(version),
    versionText: version,
    schema,
    hasSchema: schemata.length > 0,
    variables: Object.fromEntries(variables.map((row) => [row['Variable_name'] ?? '', row['Value'] ?? ''])),
    grants: parseGrants(grants.map(onlyValue)),
    user: quoteAccount(account?.['account'] ?? ''),
    tables: new Map(tables.map((table) => [table.name, table])),
    relations: new Map(
      relations.map((row) => [row['name'] ?? '', { type: row['type'] ?? '', engine: row['engine'] ?? '' }]),
    ),
  };
}

/** The column of SHOW GRANTS is named after the user. */
const onlyValue = (row: TextRow): string => Object.values(row)[0] ?? '';

/** MariaDB may put `5.5.5-` before its own number, for old replicas. */
function numbers(version: string): readonly [number, number] {
  const [, major, minor] = /^(?:5\.5\.5-)?(\d+)\.(\d+)/.exec(version) ?? [];
  return [Number(major ?? 0), Number(minor ?? 0)];
}

function quoteAccount(account: string): string {
  const at = account.lastIndexOf('@');
  const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`;
  return `${quote(account.slice(0, at))}@${quote(account.slice(at + 1))}`;
}

/** Versions, settings and grants of the two servers. */
import type { Problem } from '../../domain/errors.ts';
import type { Plan } from '../../domain/plan.ts';
import { ident } from '../sql.ts';
import { hasGlobal, hasOnSchema } from './grants.ts';
import type { Found, Survey } from './survey.ts';

const both = ({ source, target }: Survey): Found[] => [source, target].filter((found) => found !== null);

const isAtLeast = (
  [major, minor]: readonly [number, number],
  [wantedMajor, wantedMinor]: readonly [number, number],
): boolean => major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);

/** Oldest servers whose statements and locks were tried; null: this flavour cannot be that side. */
const OLDEST = {
  source: { mysql: [5, 7], mariadb: [10, 6] },
  target: { mysql: [8, 0], mariadb: null },
} as const;

export function versions(survey: Survey): Problem[] {
  return both(survey).flatMap(({ side, flavour, version, versionText }): Problem[] => {
    const oldest = OLDEST[side][flavour];
    if (oldest !== null && isAtLeast(version, oldest)) return [];
    const remedy =
      side === 'source'
        ? 'a source is MySQL 5.7 or MariaDB 10.6, or later'
        : 'a target is MySQL 8.0 or Aurora MySQL 3, or later';
    return [
      { field: side, value: versionText, problem: 'is a server that Switchback does not work with', remedy },
    ];
  });
}

export function differentPlaces({ source, target }: Survey): Problem[] {
  if (source === null || target === null || source.schema !== target.schema) return [];
  const identity = ({ variables }: Found): string =>
    ['server_uuid', 'hostname', 'port', 'datadir'].map((name) => variables[name] ?? '').join('\0');
  if (identity(source) !== identity(target)) return [];
  const remedy = "point the target's variable at the target";
  return [
    {
      field: 'target',
      value: target.db.address,
      problem: 'is the same server and schema as the source',
      remedy,
    },
  ];
}

export function writable(survey: Survey): Problem[] {
  return both(survey).flatMap(({ side, variables, db }) =>
    ['read_only', 'super_read_only', 'innodb_read_only']
      .filter((name) => variables[name] === 'ON' || variables[name] === '1')
      .slice(0, 1)
      .map((name) => ({
        field: side,
        value: db.address,
        problem: `takes no writes (${name}=ON)`,
        remedy: 'use the address of the writer, not of a replica',
      })),
  );
}

export function schemasExist(survey: Survey): Problem[] {
  return both(survey)
    .filter(({ hasSchema }) => !hasSchema)
    .map(({ side, schema }) => ({
      field: `${side}.schema`,
      value: schema,
      problem: 'does not exist, or cannot be seen',
      remedy:
        side === 'source'
          ? `correct the name, or GRANT SELECT, TRIGGER on it`
          : 'run switchback install --target-schema, which creates it',
    }));
}

export function binaryLog({ source }: Survey): Problem[] {
  if (source === null || source.variables['log_bin'] !== 'ON') return [];
  const problems: Problem[] = [];
  const format = source.variables['binlog_format'] ?? 'ROW';
  if (format === 'STATEMENT') {
    problems.push({
      field: 'source.binlog_format',
      value: format,
      problem: 'does not replicate what a trigger writes safely',
      remedy: "SET GLOBAL binlog_format = 'ROW', and in the server's configuration file",
    });
  }
  const trusted = source.variables['log_bin_trust_function_creators'] === 'ON';
  if (!trusted && !hasGlobal(source.grants, 'SUPER')) {
    problems.push({
      field: 'source.log_bin_trust_function_creators',
      value: 'OFF',
      problem: 'lets only a user with SUPER create triggers while the binary log is on',
      remedy: 'SET GLOBAL log_bin_trust_function_creators = ON while capture is installed',
    });
  }
  return problems;
}

export function packets({ source, target }: Survey): Problem[] {
  const size = (found: Found | null): number => Number(found?.variables['max_allowed_packet'] ?? Number.NaN);
  if (!(size(target) < size(source))) return [];
  return [
    {
      field: 'target.max_allowed_packet',
      value: String(size(target)),
      problem: `is smaller than the source's (${size(source)}), so a large row may not fit`,
      remedy: `SET GLOBAL max_allowed_packet = ${size(source)} on the target, and in its configuration`,
    },
  ];
}

/** Of tables; of schemas too where a tenant's id makes them. */
const namesOf = ({ tables, source, target }: Survey['plan']): string[] => [
  ...(tables.some(({ tenancy }) => tenancy.kind === 'schema') ? [source.schema, target.schema] : []),
  ...tables.map(({ name }) => name),
];

/** A name in capitals means one table on one side and another, or none, on the other. */
export function nameCase({ plan, source, target }: Survey): Problem[] {
  const [on, there] = [
    source?.variables['lower_case_table_names'],
    target?.variables['lower_case_table_names'],
  ];
  const mixed = namesOf(plan).filter((name) => name !== name.toLowerCase());
  if (on === undefined || there === undefined || on === there || mixed.length === 0) return [];
  return [
    {
      field: 'target.lower_case_table_names',
      value: there,
      problem: `differs from the source's (${on}), and these names have capitals: ${mixed.slice(0, 5).join(', ')}`,
      remedy: 'create the target with the same setting; it cannot be changed later',
    },
  ];
}

/** What a side's user must be able to do with its schema, and on the server as a whole. */
const NEEDS = {
  source: { schema: ['SELECT', 'TRIGGER'], server: ['PROCESS'] },
  // Without TRIGGER and EVENT nobody could see whether the target has any.
  target: { schema: ['SELECT', 'INSERT', 'DELETE', 'TRIGGER', 'EVENT'], server: [] },
} as const;
const CONTROL_NEEDS = ['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'CREATE', 'ALTER', 'INDEX'];

export function grants(survey: Survey): Problem[] {
  return both(survey).flatMap((found) => {
    const { side, schema, user } = found;
    const control = survey.plan.control.schema;
    const tables = survey.plan.tables.map(({ name }) => name);
    const missing = NEEDS[side].schema.filter(
      (name) => asks(survey.plan, side, name) && !hasOnSchema(found.grants, name, schema, tables),
    );
    const server = serverNeeds(found).filter(
      (name) => asks(survey.plan, side, name) && !hasGlobal(found.grants, name),
    );
    const problems: Problem[] = [];
    const lacks = (what: readonly string[], where: string, remedy: string): void => {
      const problem = `lacks ${what.join(', ')} on ${where}`;
      if (what.length > 0) problems.push({ field: `${side}.urlEnv`, value: user, problem, remedy });
    };
    lacks(missing, schema, `GRANT ${missing.join(', ')} ON ${ident(schema)}.* TO ${user}`);
    lacks(
      CONTROL_NEEDS.filter((name) => !hasOnSchema(found.grants, name, control)),
      control,
      `GRANT ALL ON ${ident(control)}.* TO ${user}`,
    );
    lacks(server, 'the server', `GRANT ${server.join(', ')} ON *.* TO ${user}`);
    return problems;
  });
}

/** What only the triggers and their start barrier ask for. */
const FOR_TRIGGERS: ReadonlySet<string> = new Set(['TRIGGER', 'XA_RECOVER_ADMIN']);

const asks = ({ capture }: Plan, side: 'source' | 'target', name: string): boolean =>
  side === 'target' || capture === 'triggers' || !FOR_TRIGGERS.has(name);

/** XA RECOVER asks for a privilege of its own since MySQL 8.0. */
function serverNeeds({ side, flavour, version }: Found): string[] {
  const recover = side === 'source' && flavour === 'mysql' && isAtLeast(version, [8, 0]);
  return [...NEEDS[side].server, ...(recover ? ['XA_RECOVER_ADMIN'] : [])];
}

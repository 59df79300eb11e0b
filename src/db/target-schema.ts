/**
 * The target's schema, made from the source's own SHOW CREATE TABLE.
 *
 * Only what is missing is created, in one go without order: target sessions have foreign_key_checks off.
 * A definition is adapted where MySQL 8 or Aurora would refuse it; what cannot be said there at all is left
 * to the operator as a difference.
 */
import type { Problem } from '../domain/errors.ts';
import type { Plan } from '../domain/plan.ts';
import { readForeignKeys, readTables, type ForeignKey } from './catalog.ts';
import type { Database, Flavour } from './database.ts';
import { describeDifferences } from './preflight/differences.ts';
import type { Sides } from './preflight/survey.ts';
import { readDefaults } from './preflight/target-checks.ts';
import { ident, literal, qualified } from './sql.ts';

export interface TargetSchemaPlan {
  /** CREATE DATABASE, where the target lacks the schema. */
  readonly schema: string | null;
  readonly create: readonly { readonly table: string; readonly sql: string }[];
  /** Of the tables that stand already, and of those that cannot be made. */
  readonly differences: readonly Problem[];
}

/** What `createTargetSchema` would do now; changes nothing. */
export async function planTargetSchema(plan: Plan, sides: Sides): Promise<TargetSchemaPlan> {
  const { source, target } = sides;
  const names = plan.tables.map(({ name }) => name);
  const [{ flavour }, here, there, defaults, collations, schema] = await Promise.all([
    source.server(),
    readTables(source, plan.source.schema, names),
    readTables(target, plan.target.schema, names),
    readDefaults(target, plan.target.schema, names),
    readCollations(target),
    readSchema(plan, sides),
  ]);
  const foreignKeys = await readForeignKeys(source, plan.source.schema);
  const parents = foreignKeys.map(({ parent }) => parent).filter((parent) => !names.includes(parent));
  const reachable = new Set([
    ...names,
    ...(await readTables(target, plan.target.schema, [...new Set(parents)])).map((table) => table.name),
  ]);
  const standing = new Map(there.map((table) => [table.name, table]));
  const create: { table: string; sql: string }[] = [];
  const differences: Problem[] = [];
  for (const { name, tenancy } of plan.tables) {
    const table = here.find((candidate) => candidate.name === name);
    const existing = standing.get(name);
    if (table === undefined) {
      differences.push(notOnSource(plan, name));
    } else if (existing !== undefined) {
      const keys = tenancy.kind === 'column' ? [tenancy.column] : [];
      differences.push(
        ...describeDifferences(table, existing, { defaults: defaults.get(name) ?? new Set(), keys }),
      );
    } else {
      const sql = adapt(await showCreate(source, plan.source.schema, name), {
        flavour,
        schema: plan.target.schema,
        name,
      });
      const refused = [...unknownWords(name, sql, collations), ...danglingKeys(name, foreignKeys, reachable)];
      if (refused.length === 0) create.push({ table: name, sql });
      differences.push(...refused);
    }
  }
  return { schema, create, differences };
}

/** Idempotent: creates what is missing, and says what it did and what differs. */
export async function createTargetSchema(plan: Plan, sides: Sides): Promise<TargetSchemaPlan> {
  const planned = await planTargetSchema(plan, sides);
  if (planned.schema !== null) await sides.target.run(planned.schema);
  await sides.target.session(async (session) => {
    for (const { sql } of planned.create) await session.run(sql);
  });
  return planned;
}

const notOnSource = (plan: Plan, name: string): Problem => ({
  field: `tables.${name}`,
  value: name,
  problem: `is no base table of the source's schema ${plan.source.schema}`,
  remedy: 'correct the name, or take it out of the plan',
});

async function showCreate(db: Database, schema: string, table: string): Promise<string> {
  const [row] = await db.rows(`SHOW CREATE TABLE ${qualified(schema, table)}`);
  return row!['Create Table']!;
}

async function readCollations(target: Database): Promise<ReadonlySet<string>> {
  const rows = await target.rows('SELECT COLLATION_NAME AS name FROM information_schema.COLLATIONS');
  return new Set(rows.map((row) => row['name'] ?? ''));
}

async function readSchema(plan: Plan, { source, target }: Sides): Promise<string | null> {
  const find = async (db: Database, name: string) => {
    const [row] = await db.rows(
      `SELECT DEFAULT_CHARACTER_SET_NAME AS cs, DEFAULT_COLLATION_NAME AS coll FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ${literal(name)}`,
    );
    return row ?? null;
  };
  if ((await find(target, plan.target.schema)) !== null) return null;
  const here = await find(source, plan.source.schema);
  const collations = await readCollations(target);
  const collation = here?.['coll'] ?? '';
  const like = collations.has(collation)
    ? ` CHARACTER SET ${here!['cs']} COLLATE ${collation}`
    : ' CHARACTER SET utf8mb4';
  return `CREATE DATABASE IF NOT EXISTS ${ident(plan.target.schema)} DEFAULT${like}`;
}

interface Context {
  readonly flavour: Flavour;
  readonly schema: string;
  readonly name: string;
}

/** Table options that Aurora or MySQL 8 refuse or that name places on the source's disk. */
const REFUSED_OPTIONS = [
  /\/\*!\d+ TABLESPACE [^*]*\*\//g,
  / TABLESPACE `[^`]*`(?: STORAGE \w+)?/g,
  / (?:DATA|INDEX) DIRECTORY='[^']*'/g,
  / (?:ENCRYPTION|COMPRESSION)='[^']*'/g,
  / ROW_FORMAT=(?:COMPRESSED|FIXED|PAGE)/g,
  / KEY_BLOCK_SIZE=\d+/g,
  / `?(?:PAGE_COMPRESSED|PAGE_COMPRESSION_LEVEL|PAGE_CHECKSUM|TRANSACTIONAL|ENCRYPTED|ENCRYPTION_KEY_ID|IETF_QUOTES)`?=(?:'[^']*'|\w+)/g,
];

/** Types that only MariaDB has, as text of the length that they print. */
const MARIADB_TYPES: Readonly<Record<string, string>> = {
  uuid: 'char(36) CHARACTER SET ascii COLLATE ascii_bin',
  inet6: 'varchar(39) CHARACTER SET ascii COLLATE ascii_bin',
  inet4: 'varchar(15) CHARACTER SET ascii COLLATE ascii_bin',
};

/** Texts and names are set aside first, so that nothing is replaced inside a comment or a default. */
const QUOTED = /'(?:[^'\\]|''|\\.)*'|`(?:[^`]|``)*`/g;

export function adapt(sql: string, { flavour, schema, name }: Context): string {
  const end = sql.lastIndexOf('\n)');
  const head = `CREATE TABLE IF NOT EXISTS ${qualified(schema, name)} `;
  const body = sql.slice(sql.indexOf('(', `CREATE TABLE ${ident(name)}`.length), end);
  const options = outsideComment(sql.slice(end), (text) =>
    REFUSED_OPTIONS.reduce((kept, option) => kept.replaceAll(option, ''), text),
  );
  const columns = body
    .split('\n')
    .map((line) => (flavour === 'mariadb' ? adaptMariadb(line) : line))
    .map((line) => line.replace(/ \/\*!\d+ (?:COLUMN_FORMAT|STORAGE) \w+ \*\//g, ''))
    .join('\n');
  return head + columns + options;
}

const outsideComment = (text: string, change: (text: string) => string): string => {
  const comment = / COMMENT='(?:[^'\\]|''|\\.)*'/.exec(text);
  if (comment === null) return change(text);
  return (
    change(text.slice(0, comment.index)) + comment[0] + change(text.slice(comment.index + comment[0].length))
  );
};

/** MariaDB prints a function as a default without the parentheses that MySQL asks for; arguments nest twice. */
const CALL_DEFAULT = / DEFAULT ((?!current_timestamp)[a-z_]\w*\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))/i;

function adaptMariadb(line: string): string {
  const quoted: string[] = [];
  const bare = line.replaceAll(QUOTED, (text) => `§${quoted.push(text) - 1}§`);
  const isText = /^\s*§\d+§ (?:tiny|medium|long)?(?:text|blob)\b/.test(bare);
  const adapted = bare
    .replace(
      /^(\s*§\d+§ )longtext\b.*? CHECK \(json_valid\(§\d+§\)\)/,
      (check, start: string) =>
        `${start}json${/ NOT NULL\b/.test(check) ? ' NOT NULL' : ''}${/ DEFAULT (§\d+§|NULL)/.exec(check)?.[0] ?? ''}${/ COMMENT §\d+§/.exec(check)?.[0] ?? ''}`,
    )
    .replace(/ \/\*(?:M?!\d*) ?COMPRESSED ?\*\//, '')
    .replace(
      /^(\s*§\d+§ )(uuid|inet4|inet6)\b/,
      (_, start: string, type: string) => start + MARIADB_TYPES[type]!,
    )
    .replace(CALL_DEFAULT, (_, call: string) => ` DEFAULT (${call})`)
    .replace(/ DEFAULT (§\d+§)/, isText ? ' DEFAULT ($1)' : ' DEFAULT $1')
    .replace(/ IGNORED\b/, ' INVISIBLE');
  return adapted.replaceAll(/§(\d+)§/g, (_, index: string) => quoted[Number(index)]!);
}

/** What only the source's server knows. */
function unknownWords(name: string, sql: string, collations: ReadonlySet<string>): Problem[] {
  const bare = sql.replaceAll(QUOTED, '``');
  const unknown = [...bare.matchAll(/COLLATE[ =](\w+)/g)]
    .map(([, collation]) => collation!)
    .filter(
      (collation) => !collations.has(collation) && !collations.has(collation.replace(/^utf8_/, 'utf8mb3_')),
    );
  const problems = [...new Set(unknown)].map((collation): Problem => ({
    field: `target.${name}`,
    value: collation,
    problem: 'is a collation that the target does not have',
    remedy: 'change the collation on the source, or create this table on the target by hand',
  }));
  const strange = /PERIOD FOR|WITHOUT OVERLAPS/.exec(bare);
  if (strange === null) return problems;
  const problem = 'is something that the target does not have';
  const remedy = 'create this table on the target by hand';
  return [...problems, { field: `target.${name}`, value: strange[0], problem, remedy }];
}

/** A foreign key to a table that does not move would refuse every write once it is checked. */
function danglingKeys(name: string, keys: readonly ForeignKey[], reachable: ReadonlySet<string>): Problem[] {
  return keys
    .filter((key) => key.table === name && !reachable.has(key.parent))
    .map((key) => ({
      field: `target.${name}`,
      value: key.name,
      problem: `is a foreign key to ${key.parent}, which neither is in the plan nor stands on the target`,
      remedy: `add ${key.parent} to tables, or create ${name} on the target by hand without the key`,
    }));
}

/**
 * SHOW GRANTS, read leniently: roles in force and global privileges count, partial revokes are taken away,
 * grants on single columns are not enough for anything here and are left out.
 */
interface Grant {
  readonly revoked: boolean;
  readonly privileges: ReadonlySet<string>;
  /** `*` for every schema; else a name or a pattern with `%` and `_`. */
  readonly schema: string;
  /** `*` for every table of the schema. */
  readonly table: string;
}

export type Grants = readonly Grant[];

const LINE = /^(GRANT|REVOKE) (.+?) ON (\*|[`"'].*?[`"'])\.(\*|[`"'].*?[`"']) (?:TO|FROM) /;

export function parseGrants(lines: readonly string[]): Grants {
  return lines.flatMap((line): Grant[] => {
    const [, verb, privileges, schema, table] = LINE.exec(line) ?? [];
    if (verb === undefined) return [];
    return [
      {
        revoked: verb === 'REVOKE',
        privileges: new Set(privileges!.replaceAll(/\w+ \([^)]*\),? ?/g, '').split(/, ?/)),
        schema: unquote(schema!),
        table: unquote(table!),
      },
    ];
  });
}

const unquote = (name: string): string => (name === '*' ? name : name.slice(1, -1).replaceAll('``', '`'));

const gives = ({ privileges }: Grant, privilege: string): boolean =>
  privileges.has(privilege) || privileges.has('ALL PRIVILEGES') || privileges.has('ALL');

export const hasGlobal = (grants: Grants, privilege: string): boolean =>
  grants.some((grant) => !grant.revoked && grant.schema === '*' && gives(grant, privilege));

/** @param tables where a grant on each of these is as good as one on the schema */
export function hasOnSchema(
  grants: Grants,
  privilege: string,
  schema: string,
  tables: readonly string[] = [],
): boolean {
  const here = grants.filter(
    (grant) => gives(grant, privilege) && (grant.schema === '*' || matches(grant.schema, schema)),
  );
  if (here.some(({ revoked, table, schema: of }) => revoked && table === '*' && of !== '*')) return false;
  const given = here.filter(({ revoked }) => !revoked);
  if (given.some(({ table }) => table === '*')) return true;
  return tables.length > 0 && tables.every((name) => given.some(({ table }) => table === name));
}

/** In the name of a schema `%` and `_` are wildcards unless a backslash stands before them. */
function matches(pattern: string, schema: string): boolean {
  if (pattern === schema) return true;
  const source = pattern.replaceAll(
    /\\([%_])|[%_]|[.*+?^${}()|[\]\\]/g,
    (found, escaped: string | undefined) => {
      if (escaped !== undefined) return escaped;
      return found === '%' ? '.*' : found === '_' ? '.' : `\\${found}`;
    },
  );
  return new RegExp(`^${source}$`, 'su').test(schema);
}

/** Tables as information_schema describes them: columns, keys, foreign keys. */
import { SchemaMismatchError } from '../domain/errors.ts';
import type { Database, TextRow } from './database.ts';
import { literal } from './sql.ts';

export interface Column {
  readonly name: string;
  /** `bigint`, `varchar`, … in lower case. */
  readonly type: string;
  /** The whole declaration: `bigint unsigned`, `enum('a','b')`. */
  readonly declared: string;
  readonly charset: string | null;
  readonly collation: string | null;
  readonly nullable: boolean;
  readonly generated: boolean;
  /** Does an UPDATE of another column change it (ON UPDATE CURRENT_TIMESTAMP)? */
  readonly updatesItself: boolean;
  readonly unsigned: boolean;
  /** Characters of a text column, else null. */
  readonly characters: number | null;
  readonly precision: number | null;
  readonly scale: number | null;
  /** Fractional digits of a temporal column. */
  readonly fraction: number | null;
}

export interface Index {
  readonly name: string;
  readonly unique: boolean;
  readonly columns: readonly string[];
  /** Does a part cover only the first characters of its column? */
  readonly prefixed: boolean;
}

export interface ForeignKey {
  readonly name: string;
  readonly table: string;
  readonly columns: readonly string[];
  readonly parent: string;
  readonly parentColumns: readonly string[];
  readonly onDelete: string;
  readonly onUpdate: string;
}

export interface Table {
  readonly schema: string;
  readonly name: string;
  readonly engine: string;
  /** Changes when the table is truncated, rebuilt or swapped. */
  readonly created: string;
  readonly columns: readonly Column[];
  readonly primary: readonly Column[];
  readonly indexes: readonly Index[];
}

const number = (value: string | null | undefined): number | null =>
  value === null || value === undefined ? null : Number(value);

/** @returns the tables that exist among `names`, in the order of `names`. */
export async function readTables(db: Database, schema: string, names: readonly string[]): Promise<Table[]> {
  if (names.length === 0) return [];
  const wanted = names.map(literal).join(', ');
  const where = `TABLE_SCHEMA = ${literal(schema)} AND TABLE_NAME IN (${wanted})`;
  const [tables, columns, parts, json] = await Promise.all([
    db.rows(
      `SELECT TABLE_NAME AS name, ENGINE AS engine, CREATE_TIME AS created FROM information_schema.TABLES WHERE ${where} AND TABLE_TYPE = 'BASE TABLE'`,
    ),
    db.rows(
      `SELECT TABLE_NAME AS tbl, COLUMN_NAME AS name, DATA_TYPE AS type, COLUMN_TYPE AS declared, CHARACTER_SET_NAME AS cs,
              COLLATION_NAME AS coll, IS_NULLABLE AS nullable, EXTRA AS extra, CHARACTER_MAXIMUM_LENGTH AS chars,
              NUMERIC_PRECISION AS prec, NUMERIC_SCALE AS scale, DATETIME_PRECISION AS fraction
       FROM information_schema.COLUMNS WHERE ${where} ORDER BY TABLE_NAME, ORDINAL_POSITION`,
    ),
    db.rows(
      `SELECT TABLE_NAME AS tbl, INDEX_NAME AS name, NON_UNIQUE AS non_unique, COLUMN_NAME AS col, SUB_PART AS part
       FROM information_schema.STATISTICS WHERE ${where} ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX`,
    ),
    readJsonAliases(db, schema),
  ]);
  return names.flatMap((name) => {
    const table = tables.find((row) => row['name'] === name);
    if (table === undefined) return [];
    const own = columns
      .filter((row) => row['tbl'] === name)
      .map(toColumn)
      .map((column) => (json.has(`${name}\0${column.name}`) ? asJson(column) : column));
    const indexes = toIndexes(parts.filter((row) => row['tbl'] === name));
    const primary = indexes.find((index) => index.name === 'PRIMARY')?.columns ?? [];
    return [
      {
        schema,
        name,
        engine: table['engine'] ?? '',
        created: table['created'] ?? '',
        columns: own,
        primary: primary.map((column) => own.find((candidate) => candidate.name === column)!),
        indexes,
      },
    ];
  });
}

/** MariaDB's JSON is a LONGTEXT with a check; only the check says so. */
async function readJsonAliases(db: Database, schema: string): Promise<ReadonlySet<string>> {
  if ((await db.server()).flavour !== 'mariadb') return new Set();
  const rows = await db.rows(
    `SELECT TABLE_NAME AS tbl, CHECK_CLAUSE AS clause FROM information_schema.CHECK_CONSTRAINTS
     WHERE CONSTRAINT_SCHEMA = ${literal(schema)} AND CHECK_CLAUSE LIKE 'json\\_valid(%'`,
  );
  return new Set(
    rows.flatMap(({ tbl, clause }) => {
      const name = /^json_valid\(`((?:[^`]|``)+)`\)$/.exec(clause ?? '')?.[1];
      return name === undefined ? [] : [`${tbl}\0${name.replaceAll('``', '`')}`];
    }),
  );
}

const asJson = (column: Column): Column =>
  column.type === 'longtext' ? { ...column, type: 'json', declared: 'json' } : column;

function toColumn(row: TextRow): Column {
  const declared = row['declared'] ?? '';
  return {
    name: row['name']!,
    type: (row['type'] ?? '').toLowerCase(),
    declared,
    charset: row['cs'] ?? null,
    collation: row['coll'] ?? null,
    nullable: row['nullable'] === 'YES',
    generated:
      /\b(VIRTUAL|STORED|PERSISTENT)\b/i.test(row['extra'] ?? '') &&
      !/DEFAULT_GENERATED/i.test(row['extra'] ?? ''),
    updatesItself: /\bon update\b/i.test(row['extra'] ?? ''),
    unsigned: declared.includes('unsigned'),
    characters: number(row['chars']),
    precision: number(row['prec']),
    scale: number(row['scale']),
    fraction: number(row['fraction']),
  };
}

function toIndexes(parts: readonly TextRow[]): Index[] {
  const names = [...new Set(parts.map((part) => part['name']!))];
  return names.map((name) => {
    const own = parts.filter((part) => part['name'] === name);
    return {
      name,
      unique: own[0]!['non_unique'] === '0',
      columns: own.map((part) => part['col'] ?? ''),
      prefixed: own.some((part) => part['part'] !== null || part['col'] === null),
    };
  });
}

/** Foreign keys that point at one of `parents`, from any table of the schema. */
export async function readForeignKeys(db: Database, schema: string): Promise<ForeignKey[]> {
  const rows = await db.rows(
    `SELECT k.CONSTRAINT_NAME AS name, k.TABLE_NAME AS tbl, k.COLUMN_NAME AS col, k.REFERENCED_TABLE_NAME AS parent,
            k.REFERENCED_COLUMN_NAME AS parent_col, r.DELETE_RULE AS on_delete, r.UPDATE_RULE AS on_update
     FROM information_schema.KEY_COLUMN_USAGE k
     JOIN information_schema.REFERENTIAL_CONSTRAINTS r
       ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME
     WHERE k.TABLE_SCHEMA = ? AND k.REFERENCED_TABLE_SCHEMA = ?
     ORDER BY k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION`,
    [schema, schema],
  );
  const keys = new Map<string, TextRow[]>();
  for (const row of rows) {
    const id = `${row['tbl']}\0${row['name']}`;
    keys.set(id, [...(keys.get(id) ?? []), row]);
  }
  return [...keys.values()].map((parts) => ({
    name: parts[0]!['name']!,
    table: parts[0]!['tbl']!,
    columns: parts.map((part) => part['col']!),
    parent: parts[0]!['parent']!,
    parentColumns: parts.map((part) => part['parent_col']!),
    onDelete: parts[0]!['on_delete']!,
    onUpdate: parts[0]!['on_update']!,
  }));
}

export function columnOf(table: Table, name: string): Column {
  const column = table.columns.find((candidate) => candidate.name === name);
  if (column === undefined) throw new SchemaMismatchError(`table ${table.name} has no column ${name}`);
  return column;
}

/** Columns that a copy writes: a generated one is computed by each side itself. */
export const storedColumns = (table: Table): Column[] => table.columns.filter((column) => !column.generated);

/**
 * Capture: triggers that journal the touched key in the writer's own transaction (promise P2).
 *
 * They read and insert, and do nothing that could fail or wait: the parent's tenant is looked up with a
 * plain read (an INSERT … SELECT would lock the parent), a key always fits its column, and the
 * definitions are created under a sql_mode that turns no value into an error. A cascading foreign key
 * fires no trigger on the child, so the parent journals the children before they go.
 */
import { createHash } from 'node:crypto';

import { UNRESOLVED } from '../domain/stage.ts';
import { cascadeTriggers } from './cascades.ts';
import type { Column, ForeignKey } from './catalog.ts';
import { columnOf } from './catalog.ts';
import { journalReached } from './journal-sql.ts';
import { keyOfColumns, keySql, sameSql } from './keys.ts';
import { ident, qualified, tenantLiteral } from './sql.ts';
import { ownerOf, tenantBytes, type TrackedTable } from './tenancy.ts';

export interface Trigger {
  readonly name: string;
  /** Table that it stands on, tracked or not. */
  readonly table: string;
  readonly timing: 'BEFORE' | 'AFTER';
  readonly event: 'INSERT' | 'UPDATE' | 'DELETE';
  readonly body: string;
}

export interface CaptureInput {
  readonly schema: string;
  readonly control: string;
  readonly tables: readonly TrackedTable[];
  readonly foreignKeys: readonly ForeignKey[];
}

export const createTriggerSql = (schema: string, trigger: Trigger): string =>
  `CREATE TRIGGER ${qualified(schema, trigger.name)} ${trigger.timing} ${trigger.event} ON ${qualified(schema, trigger.table)} FOR EACH ROW ${trigger.body}`;

export const dropTriggerSql = (schema: string, name: string): string =>
  `DROP TRIGGER IF EXISTS ${qualified(schema, name)}`;

export const TRIGGER_PREFIX = 'switchback_';

/** Every trigger of a migration, in the order in which they are installed: children before parents. */
export function planTriggers(input: CaptureInput): Trigger[] {
  const own = [...input.tables].reverse().flatMap((tracked) => rowTriggers(input, tracked));
  return [...own, ...cascadeTriggers(input, TRIGGER_PREFIX)].map(named);
}

const NAME_MAX = 64;

/**
 * A name holds a hash of what it does: a newer definition stands beside the older one before that is
 * dropped, so no write passes in between without a journal row.
 */
function named(trigger: Trigger): Trigger {
  const hash = createHash('sha256').update(`${trigger.table}\0${trigger.body}`).digest('hex').slice(0, 8);
  return { ...trigger, name: `${trigger.name.slice(0, NAME_MAX - 9)}_${hash}` };
}

function rowTriggers(input: CaptureInput, tracked: TrackedTable): Trigger[] {
  const { table, id } = tracked;
  const on = (event: Trigger['event'], body: string): Trigger => ({
    name: `${TRIGGER_PREFIX}${id}_${event.toLowerCase()}`,
    table: table.name,
    timing: 'AFTER',
    event,
    body,
  });
  const now = journalRow(input.control, tracked, 'NEW');
  const before = journalRow(input.control, tracked, 'OLD');
  const decisive = new Set([...table.primary, ...referenced(input, tracked), ...owning(tracked)]);
  const moved = `NOT (${[...decisive].map((column) => sameSql(column, 'OLD', 'NEW')).join(' AND ')})`;
  return [
    on('INSERT', `BEGIN ${now} ${journalChildren(input, tracked, ['NEW'])}END`),
    on(
      'UPDATE',
      `BEGIN ${now} IF ${moved} THEN ${before} ${journalChildren(input, tracked, ['OLD', 'NEW'])}END IF; ${timeChange(input.control, tracked)}END`,
    ),
    on('DELETE', `BEGIN ${before} ${journalChildren(input, tracked, ['OLD'])}END`),
  ];
}

/**
 * Says that the column by which windows are cut is not what the plan takes it for. A row each time, without
 * looking first: a unique row, or a locking look, would make writers wait for each other. Collected by the worker.
 */
function timeChange(control: string, { id, time }: TrackedTable): string {
  if (time === null) return '';
  const column = ident(time);
  return `IF NOT (OLD.${column} <=> NEW.${column}) THEN INSERT INTO ${qualified(control, 'time_change')} (table_id) VALUES (${id}); END IF; `;
}

/** Columns outside the key by which children find this parent; one that is NULL is found by no child. */
function referenced(input: CaptureInput, { table }: TrackedTable): Column[] {
  const names = input.tables.flatMap(({ chain }) =>
    chain.filter((link) => link.parent.name === table.name).map((link) => link.references),
  );
  const key = new Set(table.primary.map((column) => column.name));
  return [...new Set(names)].filter((name) => !key.has(name)).map((name) => columnOf(table, name));
}

/** Whatever decides the owner in the row itself: its tenant column, or the column that leads to its parent. */
const owning = ({ tenancy, table }: TrackedTable): Column[] =>
  tenancy.kind === 'shared' || tenancy.kind === 'schema' ? [] : [columnOf(table, tenancy.column)];

/**
 * One statement that journals one row image; for a child it looks its tenant up first. By SELECT … INTO, which
 * reads without locks: the same query inside SET would lock the parent, since only a SELECT is a plain read.
 */
function journalRow(control: string, tracked: TrackedTable, row: 'NEW' | 'OLD'): string {
  const { table, id, tenancy, chain, tenantColumn } = tracked;
  const insert = (tenant: string, parent: string): string =>
    `INSERT INTO ${qualified(control, 'journal')} (tenant, table_id, row_key, parent_key) VALUES (${tenant}, ${id}, ${keySql(table, row)}, ${parent});`;
  if (tenantColumn === null) return insert(tenantLiteral(ownerOf(tracked)), 'NULL');
  if (tenancy.kind !== 'parent')
    return insert(tenantBytes(tenantColumn, `${row}.${ident(tenantColumn.name)}`), 'NULL');
  const [first, ...rest] = chain;
  const lookup = `SELECT ${tenantBytes(tenantColumn, `p${chain.length - 1}.${ident(tenantColumn.name)}`)} INTO owner FROM ${qualified(first!.parent.schema, first!.parent.name)} p0 ${rest
    .map(
      (link, index) =>
        `JOIN ${qualified(link.parent.schema, link.parent.name)} p${index + 1} ON p${index + 1}.${ident(link.references)} = p${index}.${ident(link.column)}`,
    )
    .join(' ')} WHERE p0.${ident(first!.references)} = ${row}.${ident(first!.column)} LIMIT 1`;
  const parent = `IFNULL(${keyOfColumns([columnOf(table, first!.column)], row)}, '')`;
  return `BEGIN DECLARE owner VARBINARY(1020) DEFAULT NULL; DECLARE CONTINUE HANDLER FOR NOT FOUND SET owner = NULL; ${lookup}; ${insert(
    `IFNULL(owner, ${tenantLiteral(UNRESOLVED)})`,
    `IF(owner IS NULL, ${parent}, NULL)`,
  )} END;`;
}

/**
 * A parent that changes its tenant or key takes its children along: they are journaled under both. One that
 * goes leaves them to nobody, one that comes may find some, written before it or left by another.
 */
function journalChildren(
  input: CaptureInput,
  parent: TrackedTable,
  images: readonly ('OLD' | 'NEW')[],
): string {
  return input.tables
    .flatMap((child) => {
      const depth = child.chain.findIndex((link) => link.parent.name === parent.table.name);
      if (depth < 0) return [];
      const path = child.chain.slice(0, depth + 1).map((link, index) => ({
        table: index === 0 ? child.table.name : child.chain[index - 1]!.parent.name,
        columns: [[link.column, link.references] as const],
      }));
      return images.map((row) => {
        // A parent without a tenant of its own leaves it to whoever applies the row.
        const owner =
          parent.tenancy.kind === 'column'
            ? tenantBytes(parent.tenantColumn!, `${row}.${ident(parent.tenantColumn!.name)}`)
            : tenantLiteral(child.tenantColumn === null ? ownerOf(child) : UNRESOLVED);
        return journalReached(input, child, { path, row, owner, join: '' });
      });
    })
    .join('');
}

/**
 * The digest in the worker: rows come as the bytes that either server sends, and are hashed here. For pairs whose
 * servers print one value differently.
 *
 * The encoding is its own, with the same rules as `digest.ts`: every column begins with a token, a value carries
 * its length, NULL is a token alone, the key is inside. Memory holds a few batches, whatever the window weighs.
 */
import { createHash } from 'node:crypto';

import { DatabaseError } from '../domain/errors.ts';
import type { Column } from './catalog.ts';
import type { RawRow } from './database.ts';
import type { Executor, HashedRow } from './executor.ts';
import { canonicalJson } from './json-canonical.ts';
import { kindOf, type Kind } from './kinds.ts';
import { ident, list } from './sql.ts';

interface Rule {
  /** What to ask the server for; absent: the column, whose text arrives as UTF-8. */
  readonly select?: (value: string) => string;
  /** What is hashed; absent: the bytes that arrived. */
  readonly bytes?: (sent: Buffer) => Buffer;
}

const asNumber: Rule = { select: (value) => `${value} + 0` };
const asJson: Rule = { bytes: (sent) => canonicalJson(sent.toString('utf8')) };

const RULES: Readonly<Record<Kind, Rule>> = {
  // Without the zeros of ZEROFILL.
  integer: asNumber,
  bit: asNumber,
  decimal: {},
  // Times one, not plus zero: that would lose the sign of -0.
  float: { select: (value) => `${value} * 1e0`, bytes: (sent) => ieee(Math.fround(numberOf(sent))) },
  double: { bytes: (sent) => ieee(numberOf(sent)) },
  timestamp: {},
  temporal: {},
  text: {},
  binary: {},
  // Its label, and its number: the error value 0 and a declared '' look alike.
  label: { select: (value) => `CONCAT(CAST(${value} AS UNSIGNED), ':', CONVERT(${value} USING utf8mb4))` },
  json: asJson,
  // SRID and WKB, as both families store them.
  geometry: {},
};

const numberOf = (sent: Buffer): number => Number(sent.toString('latin1'));

function ieee(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleBE(value);
  return bytes;
}

const NULL = Buffer.from([0]);

/** A token, the length in four bytes, the value. */
function hashInto(hash: Hash, rule: Rule, column: Column, sent: Buffer | null): void {
  if (sent === null) {
    hash.update(NULL);
    return;
  }
  const bytes = rule.bytes === undefined ? sent : converted(rule.bytes, column, sent);
  const head = Buffer.allocUnsafe(5);
  head[0] = 1;
  head.writeUInt32BE(bytes.length, 1);
  hash.update(head).update(bytes);
}

type Hash = ReturnType<typeof createHash>;

function converted(bytes: (sent: Buffer) => Buffer, column: Column, sent: Buffer): Buffer {
  try {
    return bytes(sent);
  } catch {
    throw new DatabaseError(`column ${column.name}: a value is not what its type ${column.type} says`);
  }
}

/** The columns of one side by the names of the source's: each side is read by its own types. */
export interface SideColumns {
  readonly source: readonly Column[];
  readonly target: readonly Column[];
}

/** JSON on both sides is compared as a value; where one side holds it as text, as that text. */
function ruleOf(column: Column, sides: SideColumns): Rule {
  const types = [sides.source, sides.target].map(
    (columns) => columns.find(({ name }) => name === column.name)?.type,
  );
  if (types.includes('json') && types.some((type) => type !== 'json')) return {};
  const kind = kindOf(column);
  if (kind === null) throw new DatabaseError(`column ${column.name}: no digest rule for type ${column.type}`);
  return RULES[kind];
}

export function streamExecutor(sides: SideColumns): Executor {
  const columns = sides.source.map((column) => ({ column, rule: ruleOf(column, sides) }));
  const select = (beside: readonly string[]): string =>
    list([
      ...beside,
      ...columns.map(({ column, rule }) => {
        const value = `t.${ident(column.name)}`;
        return rule.select?.(value) ?? value;
      }),
    ]);
  const rowHash = (values: RawRow, from: number): Buffer => {
    const hash = createHash('sha256');
    columns.forEach(({ column, rule }, index) => hashInto(hash, rule, column, values[from + index]!));
    return hash.digest();
  };
  const columnHash = (values: RawRow, from: number): string[] =>
    columns.map(({ column, rule }, index) => {
      const hash = createHash('sha256');
      hashInto(hash, rule, column, values[from + index]!);
      return hash.digest('hex');
    });
  return {
    name: 'stream',
    hasQuick: () => false,
    async digest(db, _, rows) {
      const sum = Buffer.alloc(16);
      let count = 0;
      for await (const batch of db.stream(rows(select([])))) {
        for (const row of batch) xorInto(sum, rowHash(row, 0));
        count += batch.length;
      }
      return { rows: count, digest: sum.toString('hex') };
    },
    async hashes(db, _, { rows, beside, parts }) {
      const found: HashedRow[] = [];
      for await (const batch of db.stream(rows(select(beside)))) {
        for (const row of batch) {
          found.push({
            beside: row.slice(0, beside.length).map((value) => value?.toString('utf8') ?? null),
            hashes:
              parts === 'row'
                ? [rowHash(row, beside.length).toString('hex')]
                : columnHash(row, beside.length),
          });
        }
      }
      return found;
    },
  };
}

function xorInto(sum: Buffer, hash: Buffer): void {
  for (let index = 0; index < sum.length; index += 1) sum[index]! ^= hash[index]!;
}

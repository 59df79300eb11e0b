/**
 * Values as the independent comparison sees them: what each server prints, brought to one form by type.
 *
 * Shares no code with the copy (`images.ts`, `load.ts`) or with the digests: a mistake that those have in common
 * must show here. Numbers become numbers, JSON is parsed, everything else is compared byte by byte.
 */
import type { Column } from './catalog.ts';
import { canonicalJson } from './compare-json.ts';
import { kindOf, type Kind } from './kinds.ts';
import { ident } from './sql.ts';

export interface Reading {
  readonly column: string;
  /** What to select, given the alias of the row. */
  readonly select: (row: string) => string;
  /** From the bytes that arrive to the bytes that are compared. */
  readonly form: (value: Buffer) => Buffer | string;
}

type Rule = Omit<Reading, 'column'>;

const asPrinted = (column: Column) => (row: string) => `${row}.${ident(column.name)}`;
const bytes = (value: Buffer): Buffer => value;

// prettier-ignore
const RULES: Readonly<Record<Kind, (source: Column, target: Column) => Rule>> = {
  integer:   (column) => ({ select: asPrinted(column), form: (value) => withoutZeros(value.toString('latin1')) }),
  decimal:   (column) => ({ select: asPrinted(column), form: (value) => withoutZeros(value.toString('latin1')) }),
  float:     (column) => ({ select: (row) => `${asPrinted(column)(row)} + 0e0`, form: (value) => float32(Number(value.toString('latin1'))) }),
  double:    (column) => ({ select: asPrinted(column), form: (value) => float64(Number(value.toString('latin1'))) }),
  bit:       (column) => ({ select: asPrinted(column), form: (value) => value.toString('hex').replace(/^(?:00)+/, '') }),
  timestamp: (column) => ({ select: asPrinted(column), form: (value) => withoutFractionZeros(value.toString('latin1')) }),
  temporal:  (column) => ({ select: asPrinted(column), form: (value) => withoutFractionZeros(value.toString('latin1')) }),
  text:      (source, target) => ({ select: textOf(source, target), form: bytes }),
  binary:    (column) => ({ select: asPrinted(column), form: bytes }),
  // An invalid value prints as '' too, and only its number tells it from a declared ''.
  label:     (column) => ({ select: (row) => `CONCAT(IF(${asPrinted(column)(row)} + 0 = 0, '0', '1'), ${asPrinted(column)(row)})`, form: bytes }),
  json:      (column) => ({ select: asPrinted(column), form: canonicalJson }),
  geometry:  (column) => ({ select: asPrinted(column), form: bytes }),
};

/** @returns null when this version knows no way to compare the two */
export function readingOf(source: Column, target: Column): Reading | null {
  const kinds = [kindOf(source), kindOf(target)];
  // MariaDB's JSON is a LONGTEXT.
  const kind = kinds.includes('json') ? 'json' : kinds[0];
  if (kind === null || kind === undefined) return null;
  return { column: source.name, ...RULES[kind](source, target) };
}

/** Bytes where both sides store the same ones; else what the session's utf8mb4 makes of them. */
function textOf(source: Column, target: Column): Rule['select'] {
  const same = source.charset !== null && charsetOf(source) === charsetOf(target);
  return same ? (row) => `CAST(${asPrinted(source)(row)} AS BINARY)` : asPrinted(source);
}

const charsetOf = ({ charset }: Column): string | null => (charset === 'utf8' ? 'utf8mb3' : charset);

/** `007` and `7`, `1.50` and `1.5`, `-0.0` and `0`. */
function withoutZeros(text: string): string {
  if (/^-?[1-9]\d*$/.test(text)) return text;
  const [, sign = '', whole = '', fraction = ''] = /^(-?)0*(\d*?)(?:\.(\d*?)0*)?$/.exec(text) ?? [];
  if (whole === '' && fraction === '') return /^-?[0.]+$/.test(text) ? '0' : text;
  return `${sign}${whole === '' ? '0' : whole}${fraction === '' ? '' : `.${fraction}`}`;
}

const withoutFractionZeros = (text: string): string => text.replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '');

/** SQL calls 0 and -0 equal, and no text protocol carries the difference. */
const positiveZero = (value: number): number => (value === 0 ? 0 : value);

function float64(value: number): Buffer {
  const form = Buffer.alloc(8);
  form.writeDoubleBE(positiveZero(value));
  return form;
}

function float32(value: number): Buffer {
  const form = Buffer.alloc(4);
  form.writeFloatBE(positiveZero(value));
  return form;
}

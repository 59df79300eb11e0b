/** A journal key as a person reads it: `id=42`, `tenant_id="acme", n=7`. */
import type { Column, Table } from '../db/catalog.ts';
import { kindOf, type Kind } from '../db/kinds.ts';
import { decodeKey } from '../domain/key.ts';

const LENGTH_MAX = 80;

export function keyText(table: Table, key: string): string {
  const parts = decodeKey(key);
  return table.primary
    .map((column, position) => `${column.name}=${partText(column, parts[position] ?? '')}`)
    .join(', ');
}

/** Numbers and dates are readable as they are. */
const PART_TEXTS: Partial<Record<Kind, (column: Column, part: string) => string>> = {
  text: textOf,
  binary: (_, hex) => `0x${clip(hex)}`,
  timestamp: (_, seconds) => timeOf(seconds),
};

const partText = (column: Column, part: string): string =>
  PART_TEXTS[kindOf(column) ?? 'integer']?.(column, part) ?? part;

/** Character sets whose bytes Node reads as MySQL does, for what can be shown. */
const READABLE = new Set(['utf8mb4', 'utf8mb3', 'utf8', 'ascii']);

function textOf({ charset }: Column, hex: string): string {
  if (!READABLE.has(charset ?? '')) return `0x${clip(hex)}`;
  return JSON.stringify(clip(Buffer.from(hex, 'hex').toString('utf8')));
}

function timeOf(seconds: string): string {
  const at = Number(seconds);
  return at === 0 ? '0000-00-00' : new Date(at * 1_000).toISOString();
}

const clip = (text: string): string => (text.length > LENGTH_MAX ? `${text.slice(0, LENGTH_MAX)}…` : text);

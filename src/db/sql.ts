/** Names and values in SQL text. Values go in as literals, because copies need the text protocol. */
import { escape, escapeId } from 'mysql2';

/** A quoted identifier; a dot is part of the name. */
export const ident = (name: string): string => escapeId(name, true);

export const qualified = (schema: string, table: string): string => `${ident(schema)}.${ident(table)}`;

/** A text or number literal for a session whose sql_mode has no NO_BACKSLASH_ESCAPES. */
export const literal = (value: string | number | null): string => escape(value);

/** Bytes as a hex literal; the empty string has no digits and so needs its own form. */
export const hexLiteral = (bytes: Buffer): string =>
  bytes.length === 0 ? "''" : `X'${bytes.toString('hex')}'`;

/** Tenant ids are stored as their UTF-8 bytes: no collation may call two of them equal. */
export const tenantLiteral = (tenant: string): string => hexLiteral(Buffer.from(tenant, 'utf8'));

export const list = (items: readonly string[]): string => items.join(', ');

/** A time as epoch milliseconds of its server. */
export const epochMs = (expression: string): string => `UNIX_TIMESTAMP(${expression}) * 1000`;

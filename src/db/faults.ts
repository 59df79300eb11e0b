/**
 * mysql2 errors, stripped: the driver's error carries the whole statement with its values, and the
 * server's message quotes row values (1062, 1366). What leaves this file has a number and a meaning.
 */
import { ConfigError, DatabaseError, TransientDatabaseError } from '../domain/errors.ts';

/** Source: MySQL 9.7 Error Message Reference; MariaDB 10.11 error codes. */
// prettier-ignore
const TRANSIENT: Readonly<Record<number, string>> = {
  1020: 'the row changed since it was read',
  1040: 'too many connections',
  1053: 'server shutdown in progress',
  1077: 'server shut down',
  1152: 'connection aborted',
  1159: 'network read timed out',
  1161: 'network write timed out',
  1203: 'the user has too many connections',
  1205: 'lock wait timed out',
  1213: 'deadlock',
  1290: 'the server is read-only',
  1317: 'query interrupted',
  1412: 'the table was altered since the snapshot began',
  1836: 'the server is in read-only mode',
  1927: 'connection was killed',
  1969: 'statement time exceeded',
  3024: 'statement time exceeded',
  4031: 'the server closed an idle connection',
  2006: 'server has gone away',
  2013: 'connection lost during a query',
};

const NETWORK =
  /^(ECONN|ETIMEDOUT|EPIPE|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|PROTOCOL_CONNECTION_LOST|PROTOCOL_SEQUENCE_TIMEOUT|POOL_|HANDSHAKE_)/;

/** Messages of these quote no value: they name objects, grants or syntax places only. */
const SAFE_MESSAGES = new Set([
  1044, 1045, 1049, 1054, 1142, 1143, 1146, 1227, 1305, 1359, 1419, 1698, 3118, 3159,
]);

/** The server's word for a value that doesn't fit names its column last, behind the value. */
export function columnIn(message: string): string | null {
  const [, rest] = /^.*column '(.*)$/is.exec(message) ?? [];
  return /^(.{1,200}?)'(?: at row \d+| cannot be null)?\.?$/s.exec(rest ?? '')?.[1] ?? null;
}

/** Errors about the value of one column. */
const ABOUT_VALUE = new Set([1048, 1264, 1265, 1292, 1366, 1406, 1411, 3140, 3548, 3616, 3617]);

export interface DriverError {
  readonly errno?: number;
  readonly code?: string;
  readonly sqlMessage?: string;
  readonly message?: string;
  /** The driver gave the connection up; without an errno it was lost, not refused. */
  readonly fatal?: boolean;
}

export const errnoOf = (error: unknown): number | null => {
  const { errno } = error as DriverError;
  return typeof errno === 'number' && errno > 0 ? errno : null;
};

const isOurs = (error: unknown): boolean =>
  error instanceof Error && !('code' in error) && !('sql' in error) && !('fatal' in error);

/** @param side how the operator knows the server: `source` or `target`. */
export function stripError(side: string, error: unknown): Error {
  if (error instanceof ConfigError || isOurs(error)) return error as Error;
  const { code = '', sqlMessage = '', fatal = false } = error as DriverError;
  const errno = errnoOf(error);
  if (errno !== null && TRANSIENT[errno] !== undefined) {
    return new TransientDatabaseError(`${side}: ${TRANSIENT[errno]} (errno ${errno})`, errno);
  }
  if (NETWORK.test(code))
    return new TransientDatabaseError(`${side}: cannot be reached (${code}); is the server up?`);
  if (fatal && errno === null) return new TransientDatabaseError(`${side}: the connection was lost`);
  const column = errno !== null && ABOUT_VALUE.has(errno) ? columnIn(sqlMessage) : null;
  const where = column === null ? '' : `: column ${column} does not take a value`;
  const text = errno !== null && SAFE_MESSAGES.has(errno) ? `: ${sqlMessage}` : where;
  return new DatabaseError(
    `${side}: ${code || 'statement failed'}${errno === null ? '' : ` (errno ${errno})`}${text}`,
    errno,
  );
}

export const isTransient = (error: unknown): boolean => error instanceof TransientDatabaseError;

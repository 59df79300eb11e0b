/** The session settings that every promise stands on, set on first use of a connection and read back. */
import { SECOND } from '../domain/duration.ts';
import { DatabaseError, TransientDatabaseError } from '../domain/errors.ts';
import type { Server, Session, Settings } from './database.ts';

/** Strict, but every date that the source could hold is taken: zero, partial, invalid. */
const SQL_MODE = {
  source: 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO',
  target:
    'STRICT_TRANS_TABLES,STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION',
} as const;

/** @throws TransientDatabaseError when a setting did not take: a proxy in between drops it */
export async function prepare(session: Session, server: Server, settings: Settings): Promise<void> {
  const { side } = settings;
  const idleSeconds = Math.max(1, Math.ceil(settings.idleTimeout / SECOND));
  const isolation = server.flavour === 'mariadb' ? 'tx_isolation' : 'transaction_isolation';
  const wanted: Readonly<Record<string, string>> = {
    time_zone: '+00:00',
    sql_mode: SQL_MODE[side],
    [isolation]: 'READ-COMMITTED',
    innodb_lock_wait_timeout: String(Math.max(1, Math.ceil(settings.lockWait / SECOND))),
    ...(side === 'target'
      ? {
          wait_timeout: String(idleSeconds),
          net_read_timeout: String(idleSeconds),
          net_write_timeout: String(idleSeconds),
          foreign_key_checks: '0',
        }
      : {}),
    ...readBudget(server, settings),
  };
  await session.run('SET NAMES utf8mb4 COLLATE utf8mb4_bin');
  if (side === 'target') await keepWarnings(session);
  const names = Object.keys(wanted);
  const assignments = names.map(
    (name) => `SESSION ${name} = ${/^\d+$/.test(wanted[name]!) ? wanted[name]! : `'${wanted[name]!}'`}`,
  );
  await session.run(`SET ${assignments.join(', ')}`);
  const [actual] = await session.rows(
    `SELECT ${names.map((name) => `@@SESSION.${name} AS ${name}`).join(', ')}`,
  );
  for (const name of names) {
    if (canonical(actual?.[name] ?? '') !== canonical(wanted[name]!)) {
      throw new TransientDatabaseError(
        `${side}: the session setting ${name} did not take; is a proxy in between?`,
      );
    }
  }
}

/** As many as a statement can count. It takes a privilege that an applier can do without: then 1,024 are kept. */
async function keepWarnings(session: Session): Promise<void> {
  await session.run('SET SESSION max_error_count = 65535').catch((error: unknown) => {
    if (!(error instanceof DatabaseError)) throw error;
  });
}

/** The source is read with a bound shorter than the target's idle time, so a held lock outlives its read. */
function readBudget(server: Server, { side, idleTimeout }: Settings): Record<string, string> {
  if (side === 'target') return {};
  const budget = Math.max(500, Math.floor(idleTimeout * 0.8));
  return server.flavour === 'mariadb'
    ? { max_statement_time: String(Math.ceil(budget / SECOND)) }
    : { max_execution_time: String(budget) };
}

/** Servers reorder the words of sql_mode and print numbers with decimals. */
const canonical = (value: string): string =>
  value
    .split(',')
    .map((word) => word.replace(/\.0+$/, ''))
    .sort()
    .join(',');

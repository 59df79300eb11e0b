/** Structured logs to standard error; never a value of a row, a statement or a secret. */
import { pino, destination, type Logger } from 'pino';

export type Log = Logger;

export const createLog = (name: string, level = process.env['SWITCHBACK_LOG'] ?? 'info'): Log =>
  pino(
    {
      name,
      level,
      base: { name, pid: process.pid },
      redact: { paths: ['url', '*.url', 'password', '*.password', 'sql', '*.sql'], remove: true },
    },
    destination({ dest: 2, sync: true }),
  );

/** What may be said of an error: its kind and its message, which `src/db/faults.ts` stripped. */
export const errorFields = (error: unknown): { error: string } => ({
  error: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
});

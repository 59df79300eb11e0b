/**
 * What is looked for in the text of an application's statement. A word inside a string or a comment can be
 * mistaken for one; then a read goes to the source, or a statement is refused, and nothing worse happens.
 */
import { StatementRefusedError } from './errors.ts';

const COMMENTS = /^(?:\s|\/\*(?![!+])[^]*?\*\/|--\s.*\n|#.*\n|\()+/;

/** They would end the transaction, or leave something behind for the session's next user. */
const ENDS =
  /^(?:COMMIT|ROLLBACK(?!\s+(?:WORK\s+)?TO\b)|BEGIN|START|XA|SET(?!\s+@[^@])|USE|LOCK|UNLOCK|TRUNCATE|RENAME|ALTER|(?:CREATE|DROP)(?!\s+TEMPORARY\b))\b/i;

const LOCKS = /\bFOR\s+(?:UPDATE|SHARE)\b|\bLOCK\s+IN\s+SHARE\s+MODE\b/i;

/** @throws StatementRefusedError */
export function refuseTransactionControl(sql: string): void {
  const word = ENDS.exec(sql.replace(COMMENTS, ''))?.[0];
  if (word === undefined) return;
  throw new StatementRefusedError(
    `${word.toUpperCase()} is not for this connection: the router begins and ends transactions and sets sessions up`,
  );
}

export const isLocking = (sql: string): boolean => LOCKS.test(sql);

/** Faults of the library itself. Errors of the application's own statements reach it as the driver threw them. */
import type { Milliseconds } from '../domain/duration.ts';

/** The first start needs the source's control schema or a snapshot file: without either no stage is known. */
export class ControlUnavailableError extends Error {
  override readonly name = 'ControlUnavailableError';
}

/** A connection was used after its read or its transaction had ended; a promise was not awaited. */
export class ConnectionEndedError extends Error {
  override readonly name = 'ConnectionEndedError';
}

/** A statement or a method that would end the transaction or change the session. Nothing was sent. */
export class StatementRefusedError extends Error {
  override readonly name = 'StatementRefusedError';
}

/** Over its time. Its connection was destroyed: the server may still be at it, and rolls a write back. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

/**
 * COMMIT was sent and its answer did not come: the transaction is committed or rolled back, and only a look at
 * the data says which. Never retried by the router; `cause` is what happened to the connection.
 */
export class CommitUnknownError extends Error {
  override readonly name = 'CommitUnknownError';
}

/** The write authority is moving. Nothing was sent; the same write may be tried again. */
export class WriteHeldError extends Error {
  override readonly name = 'WriteHeldError';
  readonly retryable = true;
  /** From when the error was thrown. */
  readonly retryAfterMs: Milliseconds;
  readonly retryAt: Date;
  constructor(tenant: string, retryAfterMs: Milliseconds) {
    super(`writes of ${tenant} are held while their authority moves; try again in ${retryAfterMs} ms`);
    this.retryAfterMs = retryAfterMs;
    this.retryAt = new Date(Date.now() + retryAfterMs);
  }
}

/** So many requests wait for a connection already. Nothing was sent; the same may be tried again. */
export class BusyError extends Error {
  override readonly name = 'BusyError';
  readonly retryable = true;
}

/** A write was asked for inside a read, which may run twice. */
export class WriteInReadError extends Error {
  override readonly name = 'WriteInReadError';
}

export class RouterClosedError extends Error {
  override readonly name = 'RouterClosedError';
}

/** Inside a read or a write of one tenant, another one was asked for that has a schema of its own. */
export class OtherSchemaError extends Error {
  override readonly name = 'OtherSchemaError';
}

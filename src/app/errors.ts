/** Faults of the library itself. Errors of the application's own statements reach it as the driver threw them. */

/** The first start needs the source's control schema: without a first snapshot no stage is known. */
export class ControlUnavailableError extends Error {
  override readonly name = 'ControlUnavailableError';
}

/** A handle was used after its read or its transaction had ended; a promise was not awaited. */
export class HandleClosedError extends Error {
  override readonly name = 'HandleClosedError';
}

/** A read over its time on one side. Its connection was destroyed: the server may still be at it. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

export class RouterClosedError extends Error {
  override readonly name = 'RouterClosedError';
}

/** Inside a write of one tenant, another one was asked for that has a schema of its own. */
export class OtherSchemaError extends Error {
  override readonly name = 'OtherSchemaError';
}

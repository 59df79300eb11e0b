/** What an application imports from Switchback, and what whoever flips a stage publishes it with. */
export type { Brought } from './brought.ts';
export type { BufferOptions, ReadBuffer } from './buffer.ts';
export type { CompareRule } from './comparator.ts';
export {
  BusyError,
  CommitUnknownError,
  ConnectionEndedError,
  ControlUnavailableError,
  DeadlineError,
  OtherSchemaError,
  RouterClosedError,
  StatementRefusedError,
  WriteHeldError,
  WriteInReadError,
} from './errors.ts';
export type { Flag } from './flags.ts';
export type { ReadFunction, WriteFunction } from './handle.ts';
export { LATENCY_BOUNDS, type Histogram } from './histogram.ts';
export type { Health } from './health.ts';
export type { Notice, RouterLog } from './notices.ts';
export type { NamedRead, PlannedOptions, RouterOptions } from './options.ts';
export { publishStage, stageChannel, type StageHint } from './publish.ts';
export { createRouter, type Router } from './router.ts';
export { ConfigError } from '../domain/errors.ts';
export type { Difference } from '../domain/shadow.ts';
export type { BufferStats, FailedWrite, FallbackReason, Stats } from './stats.ts';
export type { Token } from './token.ts';
export type { ReadOptions, TenantRouter, WriteOptions, Written } from './tenant.ts';

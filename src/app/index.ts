/** What an application imports from Switchback, and what whoever flips a stage publishes it with. */
export type { BufferOptions, ReadBuffer } from './buffer.ts';
export type { CompareRule } from './comparator.ts';
export {
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
export type { Health } from './health.ts';
export type { NamedRead, RouterOptions } from './options.ts';
export { publishStage, stageChannel, type StageHint } from './publish.ts';
export { createRouter, type Router } from './router.ts';
export type { BufferStats, FallbackReason, Stats } from './stats.ts';
export type { Token } from './token.ts';
export type { ReadOptions, TenantRouter, WriteOptions, Written } from './tenant.ts';

/** What an application imports from Switchback, and what whoever flips a stage publishes it with. */
export {
  ControlUnavailableError,
  DeadlineError,
  HandleClosedError,
  OtherSchemaError,
  RouterClosedError,
} from './errors.ts';
export type { Flag } from './flags.ts';
export type { ReadFunction, ReadHandle, WriteFunction, WriteHandle, Written } from './handle.ts';
export type { RouterOptions } from './options.ts';
export { publishStage, stageChannel, type StageHint } from './publish.ts';
export { createRouter, type Router } from './router.ts';
export type { FallbackReason, Stats } from './stats.ts';

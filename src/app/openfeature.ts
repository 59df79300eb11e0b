/**
 * What the router obeys, for code that asks OpenFeature. The targeting key is the tenant. It only tells: whether a
 * read may go to the target is decided in the router's `read`, which knows more than the stage.
 */
import {
  FlagNotFoundError,
  OpenFeatureEventEmitter,
  ProviderEvents,
  StandardResolutionReasons,
  TargetingKeyMissingError,
  TypeMismatchError,
  type EvaluationContext,
  type Provider,
  type ResolutionDetails,
} from '@openfeature/server-sdk';

import type { Flag } from './flags.ts';
import type { Router } from './router.ts';
import { STAGES } from '../domain/stage.ts';

type Value = string | number | boolean;

/** By flag key. A side that there is none of is `none`. */
const FLAGS = {
  stage: ({ stage }) => stage,
  'reads.side': ({ stage, dirty }, isCutOff) => (dirty || isCutOff ? 'source' : STAGES[stage].reads),
  'reads.shadow': ({ stage }) => STAGES[stage].shadow ?? 'none',
  'writes.side': ({ stage }) => STAGES[stage].authority ?? 'none',
  'writes.mirrored': ({ stage }) => STAGES[stage].mirrored,
  epoch: ({ epoch }) => epoch,
} as const satisfies Readonly<Record<string, (flag: Flag, isCutOff: boolean) => Value>>;

type Key = keyof typeof FLAGS;

const isKey = (key: string): key is Key => Object.hasOwn(FLAGS, key);

/** `OpenFeature.setProvider(new SwitchbackProvider(router))`; closing the router stays its owner's business. */
export class SwitchbackProvider implements Provider {
  readonly metadata = { name: 'switchback' } as const;
  readonly runsOn = 'server';
  readonly events = new OpenFeatureEventEmitter();
  readonly #router: Router;
  readonly #end: () => void;

  constructor(router: Router) {
    this.#router = router;
    this.#end = router.onStages(() => {
      this.events.emit(ProviderEvents.ConfigurationChanged, { flagsChanged: Object.keys(FLAGS) });
    });
  }

  onClose(): Promise<void> {
    this.#end();
    return Promise.resolve();
  }

  async resolveStringEvaluation(
    key: string,
    _: string,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<string>> {
    return this.#resolve(key, context, (value) => typeof value === 'string');
  }

  async resolveBooleanEvaluation(
    key: string,
    _: boolean,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<boolean>> {
    return this.#resolve(key, context, (value) => typeof value === 'boolean');
  }

  async resolveNumberEvaluation(
    key: string,
    _: number,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<number>> {
    return this.#resolve(key, context, (value) => typeof value === 'number');
  }

  async resolveObjectEvaluation(key: string): Promise<never> {
    throw new TypeMismatchError(`${key} is no object`);
  }

  /** @throws FlagNotFoundError, TargetingKeyMissingError, TypeMismatchError; the SDK gives the default then */
  #resolve<T extends Value>(
    key: string,
    { targetingKey: tenant }: EvaluationContext,
    fits: (value: Value) => value is T,
  ): ResolutionDetails<T> {
    if (!isKey(key)) throw new FlagNotFoundError(`flags are ${Object.keys(FLAGS).join(', ')}`);
    if (tenant === undefined || tenant === '')
      throw new TargetingKeyMissingError('the targeting key is the tenant');
    const flag = this.#router.flag(tenant);
    const { isCutOff } = this.#router.health();
    const value: Value = FLAGS[key](flag, isCutOff);
    if (!fits(value)) throw new TypeMismatchError(`${key} is a ${typeof value}`);
    const { STALE, TARGETING_MATCH } = StandardResolutionReasons;
    return {
      value,
      variant: String(value),
      reason: isCutOff ? STALE : TARGETING_MATCH,
      flagMetadata: { epoch: flag.epoch, version: flag.version },
    };
  }
}

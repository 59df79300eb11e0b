/** What was typed after a command, as its handler reads it. */
import { InvalidArgumentError } from 'commander';

import { DAY, parseDuration } from '../domain/duration.ts';
import { nearest } from '../domain/nearest.ts';
import { isPhase, PHASES } from '../domain/phase.ts';

export class Input {
  readonly words: readonly string[];
  readonly #options: Readonly<Record<string, unknown>>;

  constructor(words: readonly string[], options: Readonly<Record<string, unknown>>) {
    this.words = words;
    this.#options = options;
  }

  word(position: number): string | null {
    return this.words[position] ?? null;
  }

  /** Of a command whose first argument is required. */
  get tenant(): string {
    return this.words[0]!;
  }

  text(name: string): string | null {
    const value = this.#options[name];
    return typeof value === 'string' ? value : null;
  }

  count(name: string): number | null {
    const value = this.#options[name];
    return typeof value === 'number' ? value : null;
  }

  has(name: string): boolean {
    return this.#options[name] === true;
  }
}

export const count =
  (min: number) =>
  (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= min) return value;
    throw new InvalidArgumentError(`give a whole number, ${min} or more`);
  };

/** @returns a reader that knows these words, and guesses which one was meant */
export const oneOf =
  (words: readonly string[]) =>
  (text: string): string => {
    if (words.includes(text)) return text;
    const near = nearest(text, words);
    throw new InvalidArgumentError(
      near === null ? `it is one of ${words.join(', ')}` : `did you mean ${near}?`,
    );
  };

export function phase(text: string): string {
  if (isPhase(text)) return text;
  throw new InvalidArgumentError(`phases are ${Object.keys(PHASES).join(', ')}`);
}

/** As Temporal takes it in a name: the version of a release, a commit. */
export function buildId(text: string): string {
  if (/^[\w][\w.+-]{0,99}$/.test(text)) return text;
  throw new InvalidArgumentError('give up to 100 letters, digits, dots and dashes, such as v2 or a commit');
}

/** By this command: whoever opens a gate for longer has changed the plan. */
const UNTIL_MAX = 366 * DAY;

/** @returns an ISO time; a duration counts from now. */
export function until(text: string): string {
  const duration = parseDuration(text);
  const at = duration === null ? isoTime(text) : Date.now() + duration;
  if (Number.isNaN(at) || at > 8.64e15)
    throw new InvalidArgumentError('give a time such as 2026-12-01T00:00:00Z, or a duration such as 3d');
  if (at <= Date.now()) throw new InvalidArgumentError('it lies in the past, give a later time');
  if (at > Date.now() + UNTIL_MAX)
    throw new InvalidArgumentError(
      'it lies more than a year ahead, give an earlier time: it can be waived again',
    );
  return new Date(at).toISOString();
}

/** Date.parse alone takes `1` for the year 2001. */
const isoTime = (text: string): number =>
  /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2}))?$/.test(text)
    ? Date.parse(text)
    : Number.NaN;

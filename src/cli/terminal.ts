/** Where words go: data to standard output, talk to standard error, colours only where a person looks. */
import pc from 'picocolors';

import { formatProblem } from '../domain/errors.ts';
import type { CliFailure } from './exit.ts';
import { EXITS } from './exit.ts';

export interface Outcome {
  /** What `--json` prints; stable, only added to. */
  readonly data: Readonly<Record<string, unknown>>;
  readonly lines: readonly string[];
  /** Commands to type next. */
  readonly next?: readonly string[];
  readonly kind?: keyof typeof EXITS;
}

interface Stream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

export interface Streams {
  readonly stdout: Stream;
  readonly stderr: Stream;
  readonly stdin: { readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
}

const ADDRESS_WITH_USER = /([a-z][a-z0-9+.-]*:\/\/)[^\s/]*@/gi;

/** An address with a password never leaves, whoever put it into a message. */
export const scrub = (text: string): string => text.replaceAll(ADDRESS_WITH_USER, '$1***@');

/** Control characters of a tenant's name or a reason would move the cursor of whoever reads them. */
export const oneLine = (text: string): string => text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim();

/** A word as a shell takes it. */
export const quoted = (word: string): string =>
  /^[\w.:@%+,/-]+$/.test(word) && !word.startsWith('-')
    ? word
    : `'${word.replaceAll("'", String.raw`'\''`)}'`;

type Colors = ReturnType<typeof pc.createColors>;

/** NO_COLOR forbids them (no-color.org), FORCE_COLOR asks for them, else whoever looks decides. */
function isColored({ isTTY }: Stream, env: Streams['env']): boolean {
  if ((env['NO_COLOR'] ?? '') !== '') return false;
  const forced = env['FORCE_COLOR'] ?? '';
  if (forced !== '') return forced !== '0' && forced !== 'false';
  return isTTY === true && env['TERM'] !== 'dumb';
}

export class Terminal {
  readonly json: boolean;
  readonly colors: Colors;
  /** Of what is said beside the data. */
  readonly #talk: Colors;
  /** May questions be asked, and lines be redrawn? */
  readonly canAsk: boolean;
  readonly isTerminal: boolean;
  readonly #streams: Streams;

  constructor(streams: Streams, json: boolean) {
    const { stdout, stderr, stdin, env } = streams;
    this.#streams = streams;
    this.json = json;
    this.isTerminal = stdout.isTTY === true && env['TERM'] !== 'dumb' && !json;
    this.canAsk = stdin.isTTY === true && stderr.isTTY === true && !json;
    this.colors = pc.createColors(isColored(stdout, env));
    this.#talk = pc.createColors(isColored(stderr, env));
  }

  /** A window may have another size by now. */
  get width(): number {
    return this.#streams.stdout.columns ?? Number.POSITIVE_INFINITY;
  }

  get height(): number {
    return this.#streams.stdout.rows ?? Number.POSITIVE_INFINITY;
  }

  out(text: string): void {
    this.#streams.stdout.write(`${scrub(text)}\n`);
  }

  /** As it stands: help, and what redraws the screen. */
  raw(text: string): void {
    this.#streams.stdout.write(text);
  }

  note(text: string): void {
    this.#streams.stderr.write(`${scrub(text)}\n`);
  }

  show({ data, lines, next = [] }: Outcome): void {
    if (this.json) return this.out(JSON.stringify({ ...data, next }));
    for (const line of lines) this.out(line);
    this.#showNext(next);
  }

  fail({ kind, message, next, problems }: CliFailure): void {
    if (this.json) {
      const said = message === '' ? problems.map(formatProblem).join('; ') : message;
      const error = { kind, code: EXITS[kind].code, message: oneLine(said), problems, next };
      return this.out(JSON.stringify({ error }));
    }
    for (const problem of problems) this.note(oneLine(formatProblem(problem)));
    if (message !== '') this.note(`${this.#talk.red('error:')} ${oneLine(message)}`);
    this.#showNext(next);
  }

  #showNext(next: readonly string[]): void {
    for (const command of next) this.note(`${this.#talk.dim('next:')} ${command}`);
  }
}

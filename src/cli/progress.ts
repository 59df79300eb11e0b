/** How far a long look is: a bar where a person watches, a line every few seconds elsewhere, nothing with --json. */
import { formatDuration, type Milliseconds } from '../domain/duration.ts';
import { oneLine, type Terminal } from './terminal.ts';

export interface Done {
  readonly what: string;
  readonly rows: number;
  /** null: nobody knows how many there will be. */
  readonly of: number | null;
}

const DRAWN_EVERY: Milliseconds = 100;
const SAID_EVERY: Milliseconds = 3_000;
const BAR = 24;
const CLEAR_LINE = '\r\u001B[2K';

export class Progress {
  readonly #terminal: Terminal;
  readonly #started = Date.now();
  #last = 0;
  #drawn = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  show(done: Done): void {
    const { json, isTerminal, width } = this.#terminal;
    const now = Date.now();
    if (this.#last === 0 && !isTerminal) this.#last = this.#started;
    if (json || now - this.#last < (isTerminal ? DRAWN_EVERY : SAID_EVERY)) return;
    this.#last = now;
    const text = progressText(done, now - this.#started);
    if (!isTerminal) return this.#terminal.note(text);
    this.#drawn = true;
    this.#terminal.raw(`${CLEAR_LINE}${`${bar(done)}${text}`.slice(0, width - 1)}`);
  }

  /** The line is gone: what follows stands alone. */
  end(): void {
    if (this.#drawn) this.#terminal.raw(CLEAR_LINE);
    this.#drawn = false;
  }
}

const shareOf = ({ rows, of }: Done): number | null =>
  of === null || of === 0 ? null : Math.min(1, rows / of);

function bar(done: Done): string {
  const share = shareOf(done);
  return share === null ? '' : `${barOf(share, BAR)} `;
}

/** @param share 0 to 1 */
export function barOf(share: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return `[${'#'.repeat(full)}${'-'.repeat(width - full)}]`;
}

/** @param took since the first row */
export function progressText(done: Done, took: Milliseconds): string {
  const { what, rows, of } = done;
  const share = shareOf(done);
  const perSecond = took === 0 ? 0 : Math.round((rows * 1_000) / took);
  const left = of !== null && perSecond > 0 && rows < of ? ((of - rows) / perSecond) * 1_000 : null;
  return [
    `${oneLine(what)}: ${share === null ? '' : `${Math.floor(share * 100)} %, `}${grouped(rows)}${of === null ? '' : ` of about ${grouped(Math.max(of, rows))}`} rows`,
    `${grouped(perSecond)} rows/s`,
    ...(left === null ? [] : [`${formatDuration(Math.max(1_000, Math.round(left / 1_000) * 1_000))} left`]),
  ].join(', ');
}

export const grouped = (number: number): string => String(number).replaceAll(/\B(?=(?:\d{3})+$)/g, ',');

/** An operator's pace of a reconcile: rows that were read are paid off by time, at whatever pace holds now. */
import { SECOND, type Milliseconds } from '../domain/duration.ts';

/** What may be saved up by who waited in steps, in seconds of the pace. */
const SAVED = 0.5;

export class Pace {
  readonly #read: () => Promise<number>;
  #owed = 0;
  #at: Milliseconds = performance.now();

  /** @param read rows a second; 0: no limit */
  constructor(read: () => Promise<number>) {
    this.#read = read;
  }

  spent(rows: number): void {
    this.#owed += rows;
  }

  /** @returns why nothing more is read now, or null */
  async why(): Promise<string | null> {
    const pace = await this.#read();
    const at = performance.now();
    this.#owed = pace > 0 ? Math.max(-pace * SAVED, this.#owed - (pace * (at - this.#at)) / SECOND) : 0;
    this.#at = at;
    return this.#owed > 0 ? `pace of ${pace} rows a second` : null;
  }
}

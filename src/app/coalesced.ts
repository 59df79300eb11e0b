/** Many requests, one run: each request is answered by a run that began after it was made, or that still took it. */
export class Coalesced {
  readonly #run: () => Promise<void>;
  readonly #takesMore: () => boolean;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  /** @param takesMore does the run that goes on answer for what is asked now? */
  constructor(run: () => Promise<void>, takesMore: () => boolean = () => false) {
    this.#run = run;
    this.#takesMore = takesMore;
  }

  request(): Promise<void> {
    // A waiting run begins later than now in any case, also in the moment in which none is running.
    if (this.#next !== null) return this.#next;
    if (this.#running === null) return this.#start();
    if (this.#takesMore()) return this.#running;
    this.#next = this.#running.then(settled, settled).then(() => {
      this.#next = null;
      return this.#start();
    });
    return this.#next;
  }

  /** Resolves when nothing runs and nothing waits, however the runs ended. */
  async idle(): Promise<void> {
    while (this.#running !== null) await (this.#next ?? this.#running).then(settled, settled);
  }

  #start(): Promise<void> {
    const run = this.#run().finally(() => {
      this.#running = null;
    });
    this.#running = run;
    return run;
  }
}

const settled = (): void => {};

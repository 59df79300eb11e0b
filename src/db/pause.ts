/** A pause that somebody may end before its time. What comes while nobody pauses ends the next one. */
import type { Milliseconds } from '../domain/duration.ts';

export class Pause {
  #end: (() => void) | null = null;
  #isDue = false;

  wake(): void {
    if (this.#end === null) this.#isDue = true;
    else this.#end();
  }

  async wait(ms: Milliseconds): Promise<void> {
    if (this.#isDue) {
      this.#isDue = false;
      return;
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#end = () => {
        // Left standing, the timers of a loop that is woken often would pile up.
        clearTimeout(timer);
        resolve();
      };
    });
    this.#end = null;
  }
}

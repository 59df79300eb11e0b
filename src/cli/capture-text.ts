/** The mode of capture, and what it promises less: the same sentences wherever somebody looks. */
import { WEAKER, type Capture, type Weaker } from '../domain/capture.ts';

export interface CaptureFacts {
  readonly capture: Capture;
  readonly weaker: readonly Weaker[];
}

export const captureFacts = (capture: Capture): CaptureFacts => ({ capture, weaker: WEAKER[capture] });

/** Nothing where every promise is kept whole. */
export const captureLines = ({ capture, weaker }: CaptureFacts): string[] =>
  weaker.length === 0
    ? []
    : [
        `Capture ${capture}: the application writes both sides itself. Weaker in this mode:`,
        ...weaker.map(({ promise, says }) => `  ${promise}  ${says}`),
      ];

/** For whoever was told by `plan check` already. */
export const captureNote = ({ capture, weaker }: CaptureFacts): string[] =>
  weaker.length === 0
    ? []
    : [
        `Capture ${capture}: ${weaker.map(({ promise }) => promise).join(', ')} are weaker; plan check says how.`,
      ];

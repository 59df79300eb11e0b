import { ServerUnavailableError } from './errors.ts';

interface Missing {
  readonly server: string;
  readonly reason: string;
  /** What would make it work, as commands or programs. */
  readonly install: string;
  readonly variables: readonly string[];
}

/** One line that names every way on: install it, point at a running one, or let containers do it. */
export function unavailable({ server, reason, install, variables }: Missing, cause?: unknown): Error {
  return new ServerUnavailableError(
    `${server} can't be had here: ${reason}. Install ${install}, or set ${variables.join(' and ')} to a running one, or run \`docker compose up\` and set them to its ports.`,
    { cause },
  );
}

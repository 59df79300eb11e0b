/** What a request can be told. */
export class NotFound extends Error {
  override readonly name = 'NotFound';
  constructor(what: string) {
    super(`no such ${what}`);
  }
}

export class Refused extends Error {
  override readonly name = 'Refused';
}

export const statusOf = (error: unknown): number => {
  if (error instanceof NotFound) return 404;
  return error instanceof Refused ? 400 : 500;
};

/** A server can't be had on this machine; the message says what to install, set or run. Retried by nobody. */
export class ServerUnavailableError extends Error {
  override readonly name = 'ServerUnavailableError';
}

/** A server was started and died or never answered; the message ends with its log. */
export class ServerStartError extends Error {
  override readonly name = 'ServerStartError';
}

/** The caller tried to stop or start a server that someone else runs. */
export class ExternalServerError extends Error {
  override readonly name = 'ExternalServerError';

  constructor(server: string, variable: string) {
    super(
      `The ${server} server was given by ${variable}, so Switchback neither starts nor stops it. Unset ${variable} to get a private one.`,
    );
  }
}

/**
 * What a caller of the stack sees: four servers, each with an address, a way to be killed and a way to come back.
 */

export type ServerName = 'source' | 'target' | 'redis' | 'temporal';

export interface Server {
  /** @throws ExternalServerError when the address came from the environment. */
  readonly pid: number;
  /** Sends the signal (default SIGKILL) and waits until the server is gone; a frozen server is thawed first. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts a killed server again, on the same port and with the same files; resolves when it answers. */
  start(): Promise<void>;
  /**
   * Stops the server's clock (SIGSTOP): connections stay open and nothing answers, as in a network partition. Resolves
   * when no thread of it runs any more.
   */
  freeze(): Promise<void>;
  thaw(): void;
}

export interface MysqlServer extends Server {
  /** Address for programs; without a schema, the one of the given address or none. */
  url(schema?: string): string;
  /** Address for tests that need every privilege; the given address when the server is external. */
  rootUrl(schema?: string): string;
  readonly host: string;
  readonly port: number;
}

export interface TemporalServer extends Server {
  readonly address: string;
  /** The operators' console; a guess (the development server's port) when the address is external. */
  readonly uiUrl: string;
  /** The `temporal` command, or null when none is on this machine. */
  readonly binary: string | null;
}

export interface RedisServer extends Server {
  readonly url: string;
}

export interface Stack {
  readonly source: MysqlServer;
  readonly target: MysqlServer;
  readonly redis: RedisServer;
  readonly temporal: TemporalServer;
  /** The servers this stack started itself; external ones are missing. */
  readonly owned: () => ReadonlyArray<{
    readonly name: ServerName;
    readonly pid: number;
    readonly folder: string;
  }>;
  /** Stops what this stack started and removes its temporary folders; external servers are left alone. */
  readonly stop: () => Promise<void>;
  /** Gives up ownership: the servers outlive this program (`npm run stack`). */
  readonly leave: () => void;
}

/** Receives one line of progress or news. */
export type Log = (line: string) => void;

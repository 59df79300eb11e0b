/** Servers that the environment points at: used as they are, never started or stopped. */
import { ExternalServerError } from './errors.ts';
import type { MysqlServer, RedisServer, Server, ServerName, TemporalServer } from './servers.ts';

export const ADDRESS_VARIABLES = {
  source: 'SWITCHBACK_SOURCE',
  target: 'SWITCHBACK_TARGET',
  redis: 'REDIS_URL',
  temporal: 'TEMPORAL_ADDRESS',
} as const satisfies Record<ServerName, string>;

/** The address given for a server, or null; an empty variable counts as not given. */
export function givenAddress(name: ServerName): string | null {
  return process.env[ADDRESS_VARIABLES[name]]?.trim() || null;
}

const MYSQL_PORT = 3306;
/** Where the development server puts its UI. */
const UI_PORT = 8233;

class ExternalServer implements Server {
  readonly #name: ServerName;

  constructor(name: ServerName) {
    this.#name = name;
  }

  get pid(): number {
    throw this.#refusal();
  }

  kill(): Promise<void> {
    return Promise.reject(this.#refusal());
  }

  start(): Promise<void> {
    return Promise.reject(this.#refusal());
  }

  freeze(): Promise<void> {
    return Promise.reject(this.#refusal());
  }

  thaw(): void {
    throw this.#refusal();
  }

  #refusal(): ExternalServerError {
    return new ExternalServerError(this.#name, ADDRESS_VARIABLES[this.#name]);
  }
}

/** @throws Error naming the variable when the address is no mysql:// URL. */
export class ExternalMysql extends ExternalServer implements MysqlServer {
  readonly #address: URL;

  constructor(name: 'source' | 'target', address: string) {
    super(name);
    if (!/^mysql:\/\/./.test(address) || !URL.canParse(address)) {
      throw new Error(`${ADDRESS_VARIABLES[name]} must look like mysql://user:password@host:3306/schema.`);
    }
    this.#address = new URL(address);
  }

  get host(): string {
    return this.#address.hostname;
  }

  get port(): number {
    return Number(this.#address.port || MYSQL_PORT);
  }

  url(schema?: string): string {
    const url = new URL(this.#address);
    if (schema !== undefined) url.pathname = `/${schema}`;
    return url.href;
  }

  rootUrl(schema?: string): string {
    return this.url(schema);
  }
}

export class ExternalRedis extends ExternalServer implements RedisServer {
  readonly url: string;

  constructor(url: string) {
    super('redis');
    this.url = url;
  }
}

export class ExternalTemporal extends ExternalServer implements TemporalServer {
  readonly address: string;
  readonly binary: string | null;

  constructor(address: string, binary: string | null) {
    super('temporal');
    this.address = address;
    this.binary = binary;
  }

  get uiUrl(): string {
    return `http://${this.address.replace(/:\d+$/, '')}:${UI_PORT}`;
  }
}

/** Starts Temporal's development server with what Switchback needs on a cluster. */
import { connect } from 'node:net';
import { join } from 'node:path';
import type { StartOptions } from './mysql.ts';
import { freePort } from './port.ts';
import { runCommand } from './run-command.ts';
import { runFolder } from './run-folder.ts';
import { RETENTION_HOURS, SEARCH_ATTRIBUTES } from './search-attributes.ts';
import { ServerProcess, type ServerProgram } from './server-process.ts';
import type { TemporalServer } from './servers.ts';
import { temporalProgram } from './temporal-program.ts';

const HOST = '127.0.0.1';
/** The user's own profiles point at other clusters. */
const OWN_SETTINGS_ONLY = ['--disable-config-file', '--disable-config-env'];

/** @throws ServerUnavailableError, ServerStartError */
export async function startTemporal({ name, log = () => {}, directory }: StartOptions): Promise<OwnTemporal> {
  const binary = await temporalProgram(log);
  const folder = await runFolder(name, directory);
  const port = await freePort();
  const uiPort = await freePort();
  const attributes = Object.entries(SEARCH_ATTRIBUTES).map(
    ([key, type]) => `--search-attribute=${key}=${type}`,
  );
  const options = Object.entries({
    '--ip': HOST,
    '--port': port,
    '--ui-port': uiPort,
    '--db-filename': join(folder.path, 'temporal.db'),
    '--sqlite-pragma': 'journal_mode=WAL',
    '--headless': false,
    '--log-level': 'error',
  }).map(([option, value]) => `${option}=${value}`);
  const server = new OwnTemporal(
    {
      title: 'Temporal',
      folder,
      command: binary,
      args: ['server', 'start-dev', ...OWN_SETTINGS_ONLY, ...options, ...attributes],
      isUp: async () => (await isListening(port)) && (await isReady(binary, `${HOST}:${port}`)),
    },
    { binary, address: `${HOST}:${port}`, uiUrl: `http://${HOST}:${uiPort}` },
  );
  await server.start();
  // The development server makes its namespace with one day, and a six-week history must not vanish the day it ends.
  const retention = ['namespace', 'update', '--namespace', 'default', '--retention', `${RETENTION_HOURS}h`];
  await operator(binary, server.address, retention);
  return server;
}

interface Place {
  readonly binary: string;
  readonly address: string;
  readonly uiUrl: string;
}

export class OwnTemporal extends ServerProcess implements TemporalServer {
  readonly binary: string;
  readonly address: string;
  readonly uiUrl: string;

  constructor(program: ServerProgram, place: Place) {
    super(program);
    this.binary = place.binary;
    this.address = place.address;
    this.uiUrl = place.uiUrl;
  }
}

/** The attributes come after the port opens: only when they are there can workflows start. */
async function isReady(binary: string, address: string): Promise<boolean> {
  const listed = await operator(binary, address, ['search-attribute', 'list', '--namespace', 'default']);
  return Object.keys(SEARCH_ATTRIBUTES).every((name) => listed.includes(name));
}

function operator(binary: string, address: string, words: readonly string[]): Promise<string> {
  return runCommand({
    command: binary,
    args: ['operator', ...words, '--address', address, ...OWN_SETTINGS_ONLY],
  });
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, HOST);
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

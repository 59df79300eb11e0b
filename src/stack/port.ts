import { createServer } from 'node:net';

const FIRST = 20_000;
/** Below the range that outgoing connections draw from, or one of them could take a killed server's port. */
const LAST = 32_000;
const TRIES = 100;

const given = new Set<number>();

/** A port on 127.0.0.1 that nobody listens on; never the same twice in one program. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    if (given.has(port)) continue;
    if (await isFree(port)) {
      given.add(port);
      return port;
    }
  }
  throw new Error(`No free port between ${FIRST} and ${LAST} in ${TRIES} tries: stop some programs first.`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

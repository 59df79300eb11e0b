/** `npm run stack`: real servers that stay when the command ends. */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ADDRESS_VARIABLES } from './external.ts';
import { withLock } from './lock.ts';
import { startStack } from './start.ts';
import { isRunning, readState, stateFile, stopLeft, writeState, type StackState } from './state.ts';

const HELP = `npm run stack             starts Temporal, two MySQL servers and Redis, and leaves them running
npm run stack -- status   says which of them run, and where
npm run stack -- stop     ends them and removes their files

A server whose address is in TEMPORAL_ADDRESS, SWITCHBACK_SOURCE, SWITCHBACK_TARGET or REDIS_URL is used as it is.`;

/** The servers are empty: somebody who wants to see a tenant move needs rows, and an application. */
const TRY = `Type the exports above, then, to have something to move:
  node --import tsx examples/sms-portal/seed.ts        three tenants, 212,000 rows, in the source
  export SWITCHBACK_PLAN=examples/demo/plan.yaml       seconds where production has days
  alias switchback="node bin/switchback.mjs"           switchback --help says the rest
  switchback install --target-schema                   before the application, which reads the stages there
  node --import tsx examples/sms-portal/server.ts &    the application; twice, as the plan asks for two nodes
  curl -s 'http://…/tenants/acme/messages?latest=5'    at the address it says; the gate of shadow counts its reads`;

const COMMANDS: Readonly<Record<string, () => Promise<number>>> = {
  start: () => locked(start),
  stop: () => locked(stop),
  status,
  '--help': help,
  '-h': help,
  help,
};

process.exitCode = await main(process.argv.slice(2));

async function main(words: readonly string[]): Promise<number> {
  const [word = 'start', ...rest] = words;
  const command = Object.hasOwn(COMMANDS, word) && rest.length === 0 ? COMMANDS[word] : undefined;
  if (command === undefined) {
    console.error(`Unknown: ${words.join(' ')}. Say nothing (start), status, stop or --help.`);
    return 2;
  }
  try {
    return await command();
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
}

async function start(): Promise<number> {
  const known = await readState();
  if (known !== null) {
    const gone = known.servers.filter((server) => !isRunning(server));
    if (gone.length === 0) {
      console.log('Already running.');
      print(known);
      return 0;
    }
    if (gone.length < known.servers.length) {
      const names = gone.map(({ name }) => name).join(', ');
      console.error(`Not running any more: ${names}. Run \`npm run stack -- stop\`, then \`npm run stack\`.`);
      return 1;
    }
    await stopLeft(known);
  }
  const stack = await startStack({ log: console.log });
  const state = await writeState(stack);
  stack.leave();
  print(state);
  return 0;
}

async function stop(): Promise<number> {
  const known = await readState();
  if (known === null) {
    console.log('Nothing is running.');
    return 0;
  }
  await stopLeft(known);
  console.log(`Stopped: ${known.servers.map(({ name }) => name).join(', ') || 'nothing of ours'}.`);
  return 0;
}

async function status(): Promise<number> {
  const known = await readState();
  if (known === null) {
    console.log('Nothing is running: `npm run stack` starts it.');
    return 0;
  }
  print(known);
  return known.servers.every(isRunning) ? 0 : 1;
}

async function help(): Promise<number> {
  console.log(HELP);
  return 0;
}

/** Two terminals must not start two stacks, nor one stop what the other starts. */
async function locked(work: () => Promise<number>): Promise<number> {
  await mkdir(dirname(stateFile()), { recursive: true });
  return withLock({
    path: `${stateFile()}.lock`,
    onWait: (pid) => console.log(`Waiting for another \`npm run stack\` (process ${pid}).`),
    work,
  });
}

function print({ servers, addresses, uiUrl }: StackState): void {
  const rows = Object.entries(ADDRESS_VARIABLES).map(([name, variable]) => {
    const server = servers.find((left) => left.name === name);
    const state =
      server === undefined ? `from ${variable}` : isRunning(server) ? `pid ${server.pid}` : 'gone';
    return `  ${name.padEnd(9)} ${state.padEnd(22)} ${addresses[variable] ?? ''}`;
  });
  const exports = Object.entries(addresses).map(([variable, address]) => `export ${variable}=${address}`);
  console.log(['', ...rows, `  ${'ui'.padEnd(32)} ${uiUrl}`, '', ...exports, '', TRY, ''].join('\n'));
}

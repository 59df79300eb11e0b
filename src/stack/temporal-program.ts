/** Finds or builds the `temporal` command. */
import { cached, cachedVersions } from './cache.ts';
import { progress } from './progress.ts';
import { onPath, versionText } from './programs.ts';
import { runCommand } from './run-command.ts';
import type { Log } from './servers.ts';
import { unavailable } from './unavailable.ts';
import { fileURLToPath } from 'node:url';

/** The version that deploy/temporal-cli/go.mod pins. */
const VERSION = '1.8.2';
const PACKAGE = 'github.com/temporalio/cli/cmd/temporal';
const MODULE = new URL('../../deploy/temporal-cli/', import.meta.url);

/** Measured on two cores: the lines that `go build -v` prints, and the seconds it takes with an empty cache. */
const BUILD_LINES = 1900;
const BUILD_SECONDS = 420;

/** Command on the PATH or in the cache; null when there is none yet. */
export async function findTemporal(): Promise<string | null> {
  const found = [...onPath('temporal'), ...(await cachedVersions('temporal'))];
  return found.find((command) => /temporal version/.test(versionText(command))) ?? null;
}

/** PATH, then cache, then a build from source. @throws ServerUnavailableError */
export async function temporalProgram(log: Log): Promise<string> {
  return (await findTemporal()) ?? (await buildTemporal(log));
}

async function buildTemporal(log: Log): Promise<string> {
  const ways = {
    server: 'Temporal',
    install: 'the `temporal` command (docs.temporal.io/cli) or Go 1.26',
    variables: ['TEMPORAL_ADDRESS'],
  };
  const [go] = onPath('go');
  if (go === undefined)
    throw unavailable({ ...ways, reason: 'there is neither a `temporal` command nor Go to build it' });
  try {
    return await cached({ name: `temporal-${VERSION}`, log, make: (path) => build(go, path, log) });
  } catch (error) {
    log((error as Error).message);
    throw unavailable({ ...ways, reason: 'its build failed (see above)' }, error);
  }
}

async function build(go: string, path: string, log: Log): Promise<void> {
  log(
    `Building Temporal ${VERSION} with Go (once, about ${BUILD_SECONDS / 60} min on two cores, 1.6 GB of sources).`,
  );
  const onProgress = progress({ log, what: 'Building Temporal', expectedSeconds: BUILD_SECONDS });
  const stamp = `-X github.com/temporalio/cli/internal/temporalcli.Version=${VERSION}`;
  let lines = 0;
  await runCommand({
    command: go,
    args: ['build', '-v', '-trimpath', '-ldflags', `-s -w ${stamp}`, '-o', path, PACKAGE],
    cwd: fileURLToPath(MODULE),
    env: { CGO_ENABLED: '0' },
    onLine: () => {
      lines += 1;
      onProgress(Math.min(1, lines / BUILD_LINES), `${lines} of about ${BUILD_LINES} packages`);
    },
  });
}

/** Looks for programs the way a shell does, and asks them who they are. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Debian keeps daemons here, and a user's PATH often doesn't. */
const DAEMON_FOLDERS = ['/usr/local/sbin', '/usr/sbin'];

/** Every program of that name on the PATH, first one first. */
export function onPath(name: string, path = process.env['PATH'] ?? ''): readonly string[] {
  const folders = [...new Set([...path.split(delimiter).filter(Boolean), ...DAEMON_FOLDERS])];
  return folders.map((folder) => join(folder, name)).filter(isExecutable);
}

/** What `<program> --version` says, or '' when it doesn't run. */
export function versionText(command: string, args: readonly string[] = []): string {
  const answer = spawnSync(command, [...args, '--version'], { encoding: 'utf8', timeout: 20_000 });
  return answer.status === 0 ? `${answer.stdout}${answer.stderr}`.trim() : '';
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A command on a terminal of its own, by util-linux's `script`: what it asks, what is typed, what stands on the screen. */
import { spawn, spawnSync } from 'node:child_process';

export const hasTerminal = spawnSync('script', ['--version']).status === 0;

interface Session {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Typed at once. */
  readonly keys?: readonly string[];
  /** Typed when the screen shows the first: [shown, keys]. */
  readonly answers?: readonly (readonly [shown: string, keys: string])[];
  readonly withinMs?: number;
}

/**
 * @param command one program with its words: it takes the place of the shell, which Ctrl-C would end first (dash)
 * @returns everything that came to the screen; the exit code stands in its last line, as `script` has it
 */
export function inTerminal(command: string, session: Session = {}): Promise<string> {
  const { env = {}, cwd, keys = [], answers = [], withinMs = 60_000 } = session;
  const child = spawn(
    'script',
    ['--quiet', '--return', '--flush', '--command', `exec ${command}`, '/dev/null'],
    {
      env: { ...process.env, TERM: 'xterm', ...env },
      ...(cwd === undefined ? {} : { cwd }),
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  const waiting = [...answers];
  let screen = '';
  let seen = 0;
  const type = (): void => {
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      const at = screen.indexOf(next[0], seen);
      if (at < 0) return;
      seen = at + next[0].length;
      waiting.shift();
      child.stdin.write(next[1]);
    }
  };
  for (const text of keys) child.stdin.write(text);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), withinMs);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      screen += text;
      type();
    });
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve(`${screen}\n[exit ${code}]`);
    });
  });
}

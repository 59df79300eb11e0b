/** Asks the drill's probe: runs its program, or posts to its address. A probe that fails is an answer, never a fault. */
import { execFile } from 'node:child_process';

import { parseProbeAnswer, type Probe, type ProbeAnswer } from './domain/probe.ts';

export interface ProbeCall {
  readonly tenant: string;
  /** Names the drill; the same for every call of it. */
  readonly drill: string;
}

type Env = Readonly<Record<string, string | undefined>>;

const ANSWER_MAX = 1_048_576;

export function askProbe(probe: Probe, call: ProbeCall, env: Env = process.env): Promise<ProbeAnswer> {
  return probe.command === null ? post(probe, call, env) : run(probe, probe.command, call, env);
}

/** Standard output is the answer; what it says beside that goes to the worker's log, not into the answer. */
function run(
  { timeout }: Probe,
  command: readonly string[],
  { tenant, drill }: ProbeCall,
  env: Env,
): Promise<ProbeAnswer> {
  const [program = '', ...words] = command;
  return new Promise((resolve) => {
    execFile(
      program,
      words,
      {
        timeout,
        killSignal: 'SIGKILL',
        maxBuffer: ANSWER_MAX,
        env: { ...env, SWITCHBACK_TENANT: tenant, SWITCHBACK_DRILL: drill },
      },
      (error, stdout) => {
        if (error === null) return resolve(parseProbeAnswer(stdout));
        const { code, killed } = error;
        const why =
          killed === true
            ? `did not end within ${timeout} ms`
            : typeof code === 'number'
              ? `ended with exit code ${code}`
              : `could not be run (${code ?? 'unknown'})`;
        resolve({ ok: false, why: `the probe ${JSON.stringify(program)} ${why}` });
      },
    );
  });
}

async function post({ urlEnv, timeout }: Probe, call: ProbeCall, env: Env): Promise<ProbeAnswer> {
  const url = env[urlEnv ?? ''] ?? '';
  if (!URL.canParse(url))
    return {
      ok: false,
      why: `the probe's variable ${urlEnv ?? ''} holds no address; set it where the worker runs`,
    };
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(call),
      signal: AbortSignal.timeout(timeout),
    });
    const text = await response.text();
    if (!response.ok) return { ok: false, why: `the probe in ${urlEnv} answered ${response.status}` };
    return parseProbeAnswer(text.slice(0, ANSWER_MAX));
  } catch (error) {
    const what =
      (error as Error).name === 'TimeoutError'
        ? `did not answer within ${timeout} ms`
        : 'could not be reached';
    return { ok: false, why: `the probe in ${urlEnv} ${what}` };
  }
}

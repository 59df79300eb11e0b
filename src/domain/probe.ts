/** What the drill asks the application for while its reads come from the target, and what counts as an answer. */
import type { Milliseconds } from './duration.ts';

/** One of both: a program that the worker runs, or an address of the application that it posts to. */
export interface Probe {
  /** The program and its words; the tenant and the drill's id are in its environment. */
  readonly command: readonly string[] | null;
  /** Environment variable that holds the address; never the address itself. */
  readonly urlEnv: string | null;
  readonly timeout: Milliseconds;
}

/** A row that the application wrote for the drill: by the columns of its primary key, as text. */
export interface Canary {
  readonly table: string;
  readonly key: Readonly<Record<string, string>>;
}

export type ProbeAnswer =
  | { readonly ok: true; readonly reads: number; readonly canaries: readonly Canary[] }
  | { readonly ok: false; readonly why: string };

export const CANARIES_MAX = 100;
const EXAMPLE = '{"reads": 3, "canaries": [{"table": "messages", "key": {"id": "42"}}]}';

/** @param text what the probe printed, or answered */
export function parseProbeAnswer(text: string): ProbeAnswer {
  const answer = parsed(text);
  const wrong = (what: string): ProbeAnswer => ({
    ok: false,
    why: `the probe's answer ${what}; it answers one JSON object such as ${EXAMPLE}`,
  });
  if (!isBlock(answer)) return wrong('is no JSON object');
  const { reads, canaries } = answer;
  if (typeof reads !== 'number' || !Number.isInteger(reads) || reads < 1)
    return wrong('has no "reads", 1 or more');
  if (!Array.isArray(canaries)) return wrong('has no list "canaries"');
  if (canaries.length > CANARIES_MAX) return wrong(`names more than ${CANARIES_MAX} canaries`);
  const read = canaries.map(canaryOf);
  if (read.includes(null)) return wrong('names a canary without table or key');
  return { ok: true, reads, canaries: read as Canary[] };
}

function canaryOf(given: unknown): Canary | null {
  if (!isBlock(given) || typeof given['table'] !== 'string' || !isBlock(given['key'])) return null;
  const parts = Object.entries(given['key']);
  const isKey = ([, value]: [string, unknown]): boolean =>
    typeof value === 'string' || typeof value === 'number';
  if (parts.length === 0 || !parts.every(isKey)) return null;
  return {
    table: given['table'],
    key: Object.fromEntries(parts.map(([name, value]) => [name, String(value)])),
  };
}

const isBlock = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

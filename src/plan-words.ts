/** Names that a plan file holds, for whoever types them: read loosely, since a plan that is being written has gaps. */
import { readFileSync } from 'node:fs';

import { parse } from 'yaml';

export interface PlanWords {
  readonly name: string | null;
  readonly tenants: readonly string[];
  readonly waves: readonly string[];
}

const NOTHING: PlanWords = { name: null, tenants: [], waves: [] };

export function planWords(file: string): PlanWords {
  try {
    const plan = asRecord(parse(readFileSync(file, 'utf8')));
    const waves = asList(plan['waves']).map(asRecord);
    return {
      name: typeof plan['name'] === 'string' ? plan['name'] : null,
      tenants: waves.flatMap((wave) => asList(wave['tenants'])).filter(isText),
      waves: waves.map((wave) => wave['name']).filter(isText),
    };
  } catch {
    return NOTHING; // no such file, or no YAML yet
  }
}

const asRecord = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);
const isText = (value: unknown): value is string => typeof value === 'string';

/**
 * Reads a plan file. Everything wrong with it is said at once, with the line, and never with a secret:
 * addresses with their passwords belong in environment variables, and the file is kept in Git.
 */
import { readFile } from 'node:fs/promises';
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type Document,
  type Node,
} from 'yaml';
import type { z } from 'zod';

import { ConfigError, type Problem } from './domain/errors.ts';
import type { Plan } from './domain/plan.ts';
import { nearest, oneOf } from './domain/nearest.ts';
import { applyRules, type Finding } from './plan-rules.ts';
import { findSecrets, quoteNumbers, URL_WITH_USER } from './plan-scan.ts';
import { knownKeys, planSchema, type PlanFile } from './plan-schema.ts';

export { jsonSchema } from './plan-schema.ts';
export { addressesOf, resolveUrl, resolveUrls, withRedisIfSet } from './plan-url.ts';

type Path = readonly (string | number)[];

/** A thousand tenants with long names take a tenth of it; more is not a plan. */
const CHARACTERS_MAX = 1_000_000;
const PROBLEMS_MAX = 50;
const SHOWN_MAX = 80;

const WHICH =
  'name one with --plan or in SWITCHBACK_PLAN; `switchback plan example` prints one to begin with';

/**
 * @param remedy what whoever named no such file does next
 * @throws ConfigError when the file cannot be read, and as `parsePlan` does
 */
export async function loadPlan(path: string, remedy = WHICH): Promise<Plan> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const { code = 'unreadable' } = error as NodeJS.ErrnoException;
    const problem = code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`;
    throw new ConfigError([{ field: 'plan', value: path, problem, remedy }]);
  }
  return parsePlan(text, path);
}

/** @throws ConfigError with every problem of the file */
export function parsePlan(text: string, fileName: string): Plan {
  const lines = new LineCounter();
  const document = read(text, fileName, lines);
  const raw: unknown = document.toJS({ maxAliasCount: 0 });
  const secrets = findSecrets(document);
  const parsed = planSchema.safeParse(raw);
  const shape = parsed.success ? [] : parsed.error.issues.flatMap((issue) => fromIssue(issue, raw));
  const findings = dropRepeats([...secrets, ...quoteNumbers(document), ...shape, ...applyRules(raw)]);
  if (findings.length === 0 && parsed.success) return toPlan(parsed.data);
  throw new ConfigError(
    bounded(findings, (finding) => toProblem(finding, { document, lines, fileName, raw })),
  );
}

function toPlan({ tables, ...rest }: PlanFile): Plan {
  return {
    ...rest,
    tables: Object.entries(tables).map(([name, { tenant, time }]) => ({ name, tenancy: tenant, time })),
  };
}

/** Syntax first: without it nothing else can be said. Own texts, since the parser's quote the file. */
function read(text: string, fileName: string, lineCounter: LineCounter): Document.Parsed {
  const refuse = (line: number | null, problem: string, remedy: string): Problem => ({
    field: line === null ? fileName : `${fileName} (line ${line})`,
    value: '',
    problem,
    remedy,
  });
  if (text.length > CHARACTERS_MAX) {
    throw new ConfigError([
      refuse(null, 'is larger than a plan can be', `keep it under ${CHARACTERS_MAX} characters`),
    ]);
  }
  let document: Document.Parsed;
  try {
    // The parser's own search for repeated keys compares each with each.
    document = parseDocument(text, {
      lineCounter,
      prettyErrors: false,
      uniqueKeys: false,
      logLevel: 'silent',
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ConfigError([refuse(null, 'is nested too deeply', 'a plan has five levels')]);
  }
  const lineOf = (offset: number): number => lineCounter.linePos(offset).line;
  const problems = [...document.errors, ...document.warnings].map(({ code, pos }) =>
    refuse(lineOf(pos[0]), `is not valid YAML (${code})`, 'mend this line or the one before it'),
  );
  const repeated = (offset: number): void => {
    problems.push(refuse(lineOf(offset), 'holds a key that was given before', 'take one of the two out'));
  };
  const aliased = (offset: number): void => {
    problems.push(
      refuse(lineOf(offset), 'uses an anchor, alias or merge', 'write the value out where it is used'),
    );
  };
  if (problems.length === 0) findOddities(document, repeated, aliased);
  if (problems.length > 0) throw new ConfigError(problems.slice(0, PROBLEMS_MAX));
  return document;
}

function findOddities(
  document: Document,
  repeated: (offset: number) => void,
  aliased: (offset: number) => void,
): void {
  visit(document, {
    Node(_, node: Node) {
      if (isAlias(node) || ('anchor' in node && node.anchor !== undefined)) aliased(node.range?.[0] ?? 0);
    },
    Map(_, { items }) {
      const seen = new Set<string>();
      for (const { key } of items) {
        const name = isScalar(key) ? String(key.value) : '';
        if (name === '<<') aliased((key as Node).range?.[0] ?? 0);
        if (seen.has(name) || !isScalar(key) || name === '__proto__') repeated((key as Node).range?.[0] ?? 0);
        seen.add(name);
      }
    },
  });
}

type Issue = z.core.$ZodIssue;

function fromIssue(issue: Issue, raw: unknown, base: Path = []): Finding[] {
  const path = [...base, ...(issue.path as Path)];
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(path);
    return issue.keys.map((key) => unknownKey(path, key, known));
  }
  const value = at(raw, path);
  if (issue.code === 'invalid_union' && path.at(-1) === 'tenant') return tenancyFindings(issue, raw, path);
  if (issue.code === 'invalid_key') return issue.issues.map((inner) => said(path, inner.message));
  if (value === undefined) {
    const [, remedy] = halves(issue.message);
    return [{ path, value: '', problem: 'is missing', remedy }];
  }
  return [said(path, issue.message)];
}

/** Whoever wrote `parent` meant the parent: the complaints of the other alternatives would only confuse. */
function tenancyFindings(issue: Issue & { code: 'invalid_union' }, raw: unknown, path: Path): Finding[] {
  const given = at(raw, path);
  if (typeof given === 'object' && given !== null) {
    const meant = issue.errors['parent' in given ? 2 : 1] ?? [];
    return meant.flatMap((inner) => fromIssue(inner, raw, path));
  }
  const problem = given === undefined ? 'is missing' : 'does not say whose a row is';
  const remedy = 'write { column: tenant_id }, { parent: messages, column: message_id }, shared or schema';
  return [{ path, problem, remedy }];
}

function unknownKey(path: Path, key: string, known: readonly string[]): Finding {
  const hint = nearest(key, known);
  const remedy = hint === null ? `known here: ${oneOf(known)}` : `did you mean ${hint}?`;
  return { path: [...path, key], value: '', problem: 'is not a known key', remedy };
}

function halves(message: string): readonly [problem: string, remedy: string] {
  const cut = message.indexOf('; ');
  return cut < 0
    ? [message, 'compare it with docs/plan.schema.json']
    : [message.slice(0, cut), message.slice(cut + 2)];
}

function said(path: Path, message: string): Finding {
  const [problem, remedy] = halves(message);
  return path.at(-1) === 'urlEnv' ? { path, value: '', problem, remedy } : { path, problem, remedy };
}

function at(raw: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, part) =>
      typeof value === 'object' && value !== null
        ? (value as Record<string | number, unknown>)[part]
        : undefined,
    raw,
  );
}

/** One place, one complaint: a secret is said before the shape that it breaks. */
function dropRepeats(findings: readonly Finding[]): Finding[] {
  const seen = new Set<string>();
  return findings.filter(({ path }) => {
    const id = JSON.stringify(path);
    return !seen.has(id) && seen.add(id);
  });
}

function bounded(findings: readonly Finding[], convert: (finding: Finding) => Problem): Problem[] {
  const shown = findings.slice(0, PROBLEMS_MAX).map(convert);
  const rest = findings.length - shown.length;
  if (rest === 0) return shown;
  return [
    ...shown,
    { field: 'plan', value: '', problem: `has ${rest} more problems`, remedy: 'mend these first' },
  ];
}

interface File {
  readonly document: Document;
  readonly lines: LineCounter;
  readonly fileName: string;
  readonly raw: unknown;
}

function toProblem(
  { path, value, problem, remedy }: Finding,
  { document, lines, fileName, raw }: File,
): Problem {
  const name = path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${hide(part)}`))
    .join('')
    .replace(/^\./, '');
  const { line } = lines.linePos(offsetOf(document, path));
  return {
    field: `${name === '' ? fileName : name} (line ${Math.max(1, line)})`,
    value: hide(value ?? show(at(raw, path))),
    problem: hide(problem),
    remedy: hide(remedy),
  };
}

const hide = (text: string): string => (URL_WITH_USER.test(text) ? '(hidden)' : text);

/** Blocks and lists are not shown: they may hold anything. */
function show(value: unknown): string {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return '';
  const text = String(value);
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text;
}

/** Where the key of the path stands, or the last of its ancestors that does. */
function offsetOf(document: Document, path: Path): number {
  let node: unknown = document.contents;
  let offset = document.contents?.range?.[0] ?? 0;
  for (const part of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part));
      if (pair === undefined) return offset;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof part === 'number') {
      node = node.items[part];
      offset = (node as Node | undefined)?.range?.[0] ?? offset;
    } else return offset;
  }
  return offset;
}

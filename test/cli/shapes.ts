/** What `--json` prints, verb by verb: the contract that docs/cli.md shows, and that the verbs themselves are held to. */
import { z } from 'zod';

const text = z.string();
const number = z.number();
const flag = z.boolean();
const time = z.iso.datetime();
const texts = z.array(text);
const mode = z.enum(['running', 'paused', 'stopped', 'waiting']);

/** Fields may be added below the first level, and are no news to whoever reads by name. */
const some = <Shape extends z.ZodRawShape>(shape: Shape) => z.object(shape);
const listOf = <Shape extends z.ZodRawShape>(shape: Shape) => z.array(some(shape));

const capture = { capture: text, weaker: listOf({ promise: text, says: text }) };
const problem = some({ field: text, value: text, problem: text, remedy: text });
const nodes = some({ live: number, following: number, ms: number });
const work = {
  activity: text,
  rowsPerSecond: number,
  slow: text.nullable(),
  slowForMs: number.nullable(),
  ageMs: number,
  stale: flag,
};

const tenantState = {
  tenant: text,
  wave: text,
  phase: text,
  mode,
  reason: text.nullable(),
  since: time,
  startedAt: time,
  stage: text,
  epoch: number,
  version: number,
  dirty: flag,
  journal: some({ rows: number, ageMs: number }),
  backfill: some({
    copied: number,
    estimated: number.nullable(),
    tables: some({ finished: number, all: number }),
    percent: number.nullable(),
    rowsPerSecond: number.nullable(),
    etaMs: number.nullable(),
  }).nullable(),
  cleanSince: time.nullable(),
  openDrift: number,
  pace: number.nullable(),
  reconcilePace: number.nullable(),
  work: listOf(work),
  nodes: some({ live: number, following: number }),
  runId: text,
};

const drift = {
  id: number,
  tenant: text,
  table: text,
  key: text,
  class: text,
  columns: texts,
  sourceHash: text.nullable(),
  targetHash: text.nullable(),
  passId: number.nullable(),
  foundAt: text,
  repairedAt: text.nullable(),
  repairedBy: text.nullable(),
  verifiedAt: text.nullable(),
  recurred: flag,
  inputs: z.looseObject({}).nullable(),
};

const waveCounts = {
  name: text,
  size: number,
  notStarted: number,
  moving: number,
  ramp: number,
  soaked: number,
  stopped: number,
  held: number,
  aborted: number,
  startedAt: number.nullable(),
};

/** An order to a tenant's workflow, or to the fleet's: answered by a worker, or left as a signal. */
const ordered = {
  command: text,
  requestId: text,
  via: z.enum(['update', 'signal']),
  accepted: z.literal(true).nullable(),
  message: text,
};
const tenantOrder = { tenant: text, ...ordered, phase: text.optional(), mode: mode.optional() };
const fleetOrder = { ...ordered, message: text.optional(), wave: text.optional(), mode: mode.optional() };

const flags = {
  version: number,
  stages: listOf({ tenant: text, stage: text, epoch: number, version: number, dirty: flag }),
  nodes: listOf({ node: text, service: text, version: number, live: flag, seenAt: text, behind: number }),
};

const waiver = {
  tenant: text,
  gate: text,
  phase: text,
  actor: text,
  reason: text,
  at: time,
  until: time,
  state: z.enum(['standing', 'expired', 'ended']),
  endedAt: time,
};

const rolledBack = {
  requestId: text,
  published: flag,
  nodes: nodes.nullable(),
  flipped: listOf({ tenant: text, stage: text, epoch: number, version: number }),
  refused: listOf({ tenant: text, why: text }),
};

const exported = {
  workflowId: text,
  runId: text,
  type: text,
  tenant: text.nullable(),
  status: text,
  startedAt: time,
  closedAt: time.nullable(),
  events: number,
  file: text,
  sha256: text,
};

const next = { next: texts };
const whole = <Shape extends z.ZodRawShape>(shape: Shape) => z.strictObject({ ...shape, ...next });

export const ERROR_SHAPE = z.strictObject({
  error: z.strictObject({ kind: text, code: number, message: text, problems: z.array(problem), next: texts }),
});

export const DRY_RUN_SHAPE = whole({
  dryRun: z.literal(true),
  changes: listOf({ tenant: text.nullable(), what: text, from: text.nullable(), to: text.nullable() }),
  sends: listOf({ to: text, as: z.enum(['start', 'update', 'signal']), name: text, payload: z.unknown() }),
  sql: listOf({ side: z.enum(['source', 'target']), statement: text }),
  blocks: texts,
  waits: texts,
});

/** A verb with two ways of working has two shapes; `when` says which is which. */
export interface VerbShape {
  readonly when?: string;
  readonly shape: z.ZodObject;
}

const one = (shape: z.ZodRawShape): VerbShape[] => [{ shape: whole(shape) }];
const order = one(tenantOrder);
const orderOfFleet = one(fleetOrder);

export const SHAPES: Readonly<Record<string, readonly VerbShape[]>> = {
  'plan check': one({
    plan: text, tables: number, waves: number, tenants: number, ...capture, problems: z.array(problem), warnings: texts,
    executors: listOf({ table: text, executor: z.enum(['sql', 'stream']), why: text.nullable() }),
    triggerColumns: listOf({ table: text, columns: texts }),
  }),
  'plan example': one({ plan: text }),
  'plan schema': one({ schema: z.looseObject({}) }),
  'plan apply': one({ applied: listOf({ tenant: text, changes: texts }), fleet: texts.nullable(), notInFleet: texts }),
  install: one({ plan: text, control: text, capture: text, tables: texts, created: texts }),
  uninstall: one({ plan: text, triggers: texts, givenUp: texts }),
  status: one({
    at: time, ...capture, tenants: listOf(tenantState), notStarted: texts, awaitingWorker: texts, targetReachable: flag,
    noWorkerForMs: number.nullable(), exportLateMs: number.nullable(), altered: texts, byKey: texts,
  }),
  why: one({
    ...capture, tenant: text, at: time, phase: text, mode, reason: text.nullable(), since: time, stage: text,
    epoch: number, dirty: flag,
    gates: listOf({
      gate: text, open: flag, waived: flag, saw: text, needs: text, clear: text, who: text,
      closedSince: time.nullable(), firstClosedAt: time.nullable(), next: text.nullable(),
    }),
    waivers: listOf(waiver),
    openDrift: number,
    drift: listOf({ id: number, table: text, key: text, class: text, columns: texts, sourceHash: text.nullable(), targetHash: text.nullable(), foundAt: time, recurred: flag }),
    altered: texts, noWorkerForMs: number.nullable(),
    shadowReads: listOf({ read: text, samples: number, differing: number }),
    audit: listOf({ at: time, event: text, before: text.nullable(), after: text.nullable(), actor: text, reason: text }),
    evidence: z.looseObject({}),
  }),
  waivers: one({ waivers: listOf(waiver) }),
  'drift list': one({ tenant: text.nullable(), total: number, drift: listOf(drift) }),
  'drift show': one({ ...drift, now: z.looseObject({}).optional() }),
  verify: [
    {
      when: 'without --full',
      shape: whole({
        tenant: text,
        passes: listOf({ id: number, startedAt: text, endedAt: text.nullable(), windows: number, rows: number, suspects: number, inFlight: number, repaired: number, drifted: number, clean: flag.nullable() }),
        latest: number.nullable(),
        tables: listOf({ table: text, differingWindows: number }),
        windows: listOf({ table: text, executor: text }),
        drift: listOf({ table: text, class: text, found: number, kept: number }),
      }),
    },
    {
      when: 'with --full',
      shape: whole({
        tenant: text, result: z.enum(['equal', 'differs', 'ended']), tookMs: number,
        tables: listOf({
          table: text, finished: flag, sourceRows: number, targetRows: number, equal: number, inFlight: number,
          missing: number, extra: number, different: number,
          rows: listOf({ key: text, columns: texts }),
        }),
      }),
    },
  ],
  /** In full: `src/report/facts.ts`. */
  report: one({
    file: text.nullable(), migration: text, at: time, ...capture, missing: texts,
    fleet: z.looseObject({}).nullable(), standing: listOf({ tenant: text }), notStarted: texts,
    tenants: listOf({ tenant: text }), leftOut: number,
  }),
  flags: one(flags),
  'flags watch': one(flags),
  start: one({
    started: listOf({ tenant: text, how: z.enum(['started', 'adopted', 'signalled']), workflowId: text, runId: text }),
    ...capture,
  }),
  pause: order, resume: order, advance: order, drill: order, retry: order, waive: order, setPace: order, abort: order,
  rollback: [
    {
      when: 'without --direct',
      shape: whole({ ...tenantOrder, stage: text.optional(), epoch: number.optional(), nodes: nodes.optional() }),
    },
    { when: 'with --direct', shape: whole(rolledBack) },
  ],
  repair: one({ tenant: text, repaired: listOf({ id: number, table: text, key: text, class: text, equal: flag }), left: number }),
  'fleet start': one({ workflowId: text, runId: text, waves: number, tenants: number }),
  'fleet status': one({
    wave: text, mode, reason: text.nullable(), since: time, waves: listOf(waveCounts),
    held: listOf({ tenant: text, wave: text, held: text }),
    decisions: listOf({ at: text, wave: text, event: text, actor: text, reason: text, evidence: listOf(waveCounts).nullable() }),
  }),
  'fleet pause': orderOfFleet, 'fleet resume': orderOfFleet, 'fleet advance': orderOfFleet, 'fleet add': orderOfFleet,
  'fleet remove': orderOfFleet, 'fleet hold': orderOfFleet, 'fleet release': orderOfFleet,
  'fleet rollback': one({ ...rolledBack, fleet: text }),
  worker: one({ stopped: z.literal(true) }),
  'history export': [
    {
      when: 'without --dry-run',
      shape: whole({ folder: text, tenant: text.nullable(), written: listOf(exported), kept: number, lost: listOf({ workflowId: text, runId: text }), stopped: flag }),
    },
    {
      when: 'with --dry-run',
      shape: whole({ folder: text, kept: number, waiting: listOf({ workflowId: text, runId: text, status: text, events: number, deletedAt: time.nullable() }) }),
    },
  ],
  'history verify': one({
    folder: text, runs: number, events: number, replayed: flag,
    findings: listOf({ file: text, workflowId: text, runId: text, problem: text, why: text }), unnamed: texts, torn: number,
  }),
  'history show': one({
    tenant: text.nullable(), runs: listOf({ workflowId: text, runId: text, type: text }), events: number, byHand: flag,
    told: listOf({ at: time, kind: text, text }),
  }),
  completion: one({ shell: z.enum(['bash', 'zsh', 'fish']), script: text }),
}; // prettier-ignore

/** @throws with what is wrong, when a verb printed something else than is documented */
export function expectShape(verb: string, printed: unknown): void {
  const found = printed as Readonly<Record<string, unknown>>;
  if ('error' in found) return void ERROR_SHAPE.parse(printed);
  if ('dryRun' in found) return void DRY_RUN_SHAPE.parse(printed);
  const shapes = SHAPES[verb] ?? [];
  const tried = shapes.map(({ shape }) => shape.safeParse(printed));
  if (tried.some(({ success }) => success)) return;
  const why = tried.map(({ error }) => (error === undefined ? '' : z.prettifyError(error)));
  throw new Error(
    `${verb} printed what docs/cli.md does not say: ${why.join('\n or ') || 'it has no shape'}`,
  );
}

/** What an operator sees in the Temporal UI: search attributes, and current details as markdown. */
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';

import { COMMAND_NAMES, judge, type Command, type View } from '../src/domain/command.ts';
import { formatDuration } from '../src/domain/duration.ts';
import { LADDER, move, PHASES } from '../src/domain/phase.ts';
import type { TenantRun } from './run.ts';

const KEYS = {
  tenant: defineSearchAttributeKey('SwitchbackTenant', SearchAttributeType.KEYWORD),
  phase: defineSearchAttributeKey('SwitchbackPhase', SearchAttributeType.KEYWORD),
  mode: defineSearchAttributeKey('SwitchbackMode', SearchAttributeType.KEYWORD),
  wave: defineSearchAttributeKey('SwitchbackWave', SearchAttributeType.KEYWORD),
  stoppedReason: defineSearchAttributeKey('SwitchbackStoppedReason', SearchAttributeType.KEYWORD),
  since: defineSearchAttributeKey('SwitchbackSince', SearchAttributeType.DATETIME),
  cleanSince: defineSearchAttributeKey('SwitchbackCleanSince', SearchAttributeType.DATETIME),
};

const KEYWORD_MAX = 255;

/** One event, so only when something changed. */
export function showSearchAttributes(run: TenantRun): void {
  const { tenant, phase, mode, since, reason, cleanSince } = run.state;
  const shown = JSON.stringify([phase, mode, since, mode === 'stopped' ? reason : null, cleanSince]);
  if (shown === run.shown) return;
  run.shown = shown;
  upsertSearchAttributes([
    { key: KEYS.tenant, value: tenant.slice(0, KEYWORD_MAX) },
    { key: KEYS.phase, value: phase },
    { key: KEYS.mode, value: mode },
    { key: KEYS.wave, value: run.state.plan.wave.slice(0, KEYWORD_MAX) },
    { key: KEYS.since, value: new Date(since) },
    {
      key: KEYS.stoppedReason,
      value: mode === 'stopped' ? (reason ?? 'unknown').slice(0, KEYWORD_MAX) : null,
    },
    { key: KEYS.cleanSince, value: cleanSince === null ? null : new Date(cleanSince) },
  ]);
}

export function showDetails(run: TenantRun): void {
  const { tenant, phase, mode, reason, since } = run.state;
  const sections = [
    `## ${tenant}: ${phase}, ${mode}`,
    `${sentence(PHASES[phase].does)} Since ${new Date(since).toISOString()}.${reason === null ? '' : `\n\n**${sentence(reason)}**`}`,
    `${health(run)}\n\n**Next:** ${next(run)}`,
    `### Phases\n${ladder(run)}`,
    ...(run.gates.length === 0 ? [] : [`### Gates\n${gates(run)}`]),
    `### What to type next\n${commands(run)}\n\n${FROM_THIS_PAGE}`,
    ...(run.refusals.length === 0
      ? []
      : [`### Refused\n${run.refusals.map((line) => `- ${line}`).join('\n')}`]),
  ];
  setCurrentDetails(sections.join('\n\n'));
}

/** Beside the UI's own form, which asks for a name and an input and says nothing of either. */
const FROM_THIS_PAGE =
  'From this page: *Send a Signal*, with the name of the command and the JSON input `{"requestId": "1", "actor": "you", "reason": "why"}`. The same requestId is done once; `abort` needs `"expectPhase"` too.';

function health({ state }: TenantRun): string {
  const { mode, lost, cleanSince } = state;
  if (lost) return '✗ **Not healthy:** another run has this tenant.';
  if (mode === 'stopped') return '✗ **Not healthy:** the line is stopped, and somebody has to look.';
  const clean =
    cleanSince === null
      ? 'no clean pass yet'
      : `every pass clean since ${new Date(cleanSince).toISOString()}`;
  return mode === 'paused' ? `✓ **Healthy,** held by an operator; ${clean}.` : `✓ **Healthy:** ${clean}.`;
}

function next({ state, gates }: TenantRun): string {
  const { phase, mode } = state;
  const to = move(phase, 'advance');
  if (mode === 'stopped' || mode === 'paused')
    return 'nothing, until a command below. Mirror and reconcile go on; reads can be put back at any time.';
  if (to === null) return phase === 'ramp' ? 'stays here: promote is not built in this version.' : 'nothing.';
  const closed = gates.filter(({ open, waived }) => !open && !waived).map(({ gate }) => gate);
  return closed.length === 0 ? `${to}.` : `${to}, when these gates open: ${closed.join(', ')}.`;
}

const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;

function ladder({ state }: TenantRun): string {
  const here = LADDER.findIndex((phase) => phase === state.phase);
  return LADDER.map((phase, index) => {
    if (index < here) return `- ✓ ${phase}`;
    return index === here ? `- ▶ **${phase}** (${PHASES[phase].does})` : `- · ${phase}`;
  })
    .concat(here < 0 ? [`- ▶ **${state.phase}** (${PHASES[state.phase].does})`] : [])
    .join('\n');
}

function gates(run: TenantRun): string {
  const rows = run.gates.map(
    ({ gate, open, waived, saw, needs }) =>
      `| ${open ? '✓' : waived ? 'waived' : '✗'} | ${gate} | ${saw} | ${needs} |`,
  );
  const age =
    run.gatesAt === null
      ? ''
      : `\n\nRead at ${new Date(run.gatesAt).toISOString()}; looked at again at least every ${formatDuration(run.state.plan.durations.gateEvery)}. Live: \`switchback why ${run.state.tenant}\`.`;
  return `| | gate | saw | needs |\n|---|---|---|---|\n${rows.join('\n')}${age}`;
}

/** The commands that `judge` would accept now, in the CLI's form. */
function commands(run: TenantRun): string {
  const view = run.view();
  const lines = COMMAND_NAMES.filter((name) => name !== 'waive' && name !== 'setPace')
    .filter((name) => judge(sample(name, view), view) === null)
    .map(
      (name) =>
        `- \`switchback ${name} ${run.state.tenant}${name === 'abort' ? ` --expect-phase ${view.phase}` : ''} --reason "..."\``,
    );
  return [...run.hints.map((hint) => `- ${hint}`), ...lines, `- \`switchback why ${run.state.tenant}\``].join(
    '\n',
  );
}

const sample = (name: Command['name'], view: View): Command => ({
  name,
  requestId: '',
  actor: '',
  reason: '',
  expectPhase: view.phase,
  gate: null,
  until: null,
  rowsPerSecond: null,
});

/** What an operator sees in the Temporal UI: search attributes, and current details as markdown. */
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';

import { COMMAND_NAMES, judge, type Command, type View } from '../src/domain/command.ts';
import { formatDuration } from '../src/domain/duration.ts';
import { LADDER, PHASES } from '../src/domain/phase.ts';
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
    `### Phases\n${ladder(run)}`,
    ...(run.gates.length === 0 ? [] : [`### Gates\n${gates(run)}`]),
    `### What to type next\n${commands(run)}`,
    ...(run.refusals.length === 0
      ? []
      : [`### Refused\n${run.refusals.map((line) => `- ${line}`).join('\n')}`]),
  ];
  setCurrentDetails(sections.join('\n\n'));
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

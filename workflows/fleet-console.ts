/** The fleet as the Temporal UI shows it: a table of waves, and what to type next. */
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';

import type { FleetRun } from './fleet-run.ts';

const KEYWORD_MAX = 255;
const KEYS = {
  phase: defineSearchAttributeKey('SwitchbackPhase', SearchAttributeType.KEYWORD),
  mode: defineSearchAttributeKey('SwitchbackMode', SearchAttributeType.KEYWORD),
  wave: defineSearchAttributeKey('SwitchbackWave', SearchAttributeType.KEYWORD),
  stoppedReason: defineSearchAttributeKey('SwitchbackStoppedReason', SearchAttributeType.KEYWORD),
};

export function showFleet(run: FleetRun): void {
  const { wave, mode, reason } = run;
  const stopped = mode === 'stopped' ? (reason ?? 'unknown') : null;
  const shown = JSON.stringify([wave, mode, stopped]);
  if (shown !== run.shown) {
    run.shown = shown;
    upsertSearchAttributes([
      { key: KEYS.phase, value: 'fleet' },
      { key: KEYS.mode, value: mode },
      { key: KEYS.wave, value: wave.slice(0, KEYWORD_MAX) },
      { key: KEYS.stoppedReason, value: stopped?.slice(0, KEYWORD_MAX) ?? null },
    ]);
  }
  setCurrentDetails(
    [
      `## Fleet ${run.plan.name}: wave ${wave}, ${mode}`,
      ...(reason === null ? [] : [`**${reason}**`]),
      `### Waves\n${waves(run)}`,
      `### What to type next\n${commands(run)}`,
      ...(run.refusals.length === 0
        ? []
        : [`### Refused\n${run.refusals.map((line) => `- ${line}`).join('\n')}`]),
    ].join('\n\n'),
  );
}

function waves({ plan, wave, counts }: FleetRun): string {
  const here = plan.waves.findIndex(({ name }) => name === wave);
  const rows = plan.waves.map(({ name }, place) => {
    const mark = place < here ? '✓' : place === here ? '▶' : '·';
    const count = counts.find((one) => one.name === name);
    const numbers =
      count === undefined
        ? ['', '', '', '', '', '', '']
        : [count.size, count.notStarted, count.moving, count.ramp, count.soaked, count.stopped, count.held];
    return `| ${[mark, name.replaceAll('|', ' '), ...numbers].join(' | ')} |`;
  });
  return [
    '| | wave | tenants | not started | moving | in ramp | soaked | stopped | held |',
    '|---|---|---|---|---|---|---|---|---|',
    ...rows,
  ].join('\n');
}

function commands({ mode }: FleetRun): string {
  const isHeld = mode === 'paused' || mode === 'stopped';
  return [
    ...(mode === 'stopped'
      ? ['`switchback status` names the stopped tenants; mend and `retry`, or `fleet hold` them']
      : []),
    `\`switchback fleet ${isHeld ? 'resume' : 'pause'} --reason "..."\``,
    ...(isHeld ? [] : ['`switchback fleet advance --reason "..."` begins the next wave now']),
    '`switchback fleet status`',
    '`switchback fleet rollback --all --reason "..."` puts every read back on the source',
  ]
    .map((line) => `- ${line}`)
    .join('\n');
}

/**
 * deploy/alerts.yml and the dashboard: every metric in them exists, every alert leads to a section of the runbooks, and
 * Prometheus' own promtool shows each alert firing where it must, and none where all is well.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';

import { INSTRUMENTS, type Instrument } from '../src/app/telemetry.ts';
import { WORKER_METRICS } from '../src/metrics.ts';
import { promtoolProgram, type Promtool } from '../src/stack/promtool-program.ts';
import { prometheusName, TEMPORAL_METRICS } from './support/metrics-doc.ts';

const file = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const text = (path: string): string => readFileSync(file(path), 'utf8');
const RULES = 'deploy/alerts.yml';
const SEVERITIES = ['page', 'ticket', 'info'];

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly runbook_url: string };
}

const rulesOf = (yaml: string): Rule[] =>
  (parse(yaml) as { groups: { rules: Rule[] }[] }).groups.flatMap(({ rules }) => rules);
const rules = rulesOf(text(RULES));

/** As the exporters name their series. */
const known = new Set([
  ...Object.keys(WORKER_METRICS),
  ...TEMPORAL_METRICS,
  ...Object.entries<Instrument>(INSTRUMENTS).flatMap(([name, instrument]) => {
    const series = prometheusName(name, instrument);
    return instrument.kind === 'histogram' ? [`${series}_bucket`] : [series];
  }),
]);

/** A name that takes both forms of a unit counts as the one without. */
const metricsIn = (expr: string): string[] => [
  ...new Set(
    expr.replaceAll('(_seconds)?', '').match(/\b(switchback|db_client|temporal)_[a-z_]+\b(?!\s*[!=]=?)/g),
  ),
];
/** Labels look like metrics, but stand in front of a matcher, or in a grouping. */
const withoutLabels = (expr: string): string => expr.replaceAll(/\bby \([^)]*\)/g, '');
const unknownIn = (expr: string): string[] =>
  metricsIn(withoutLabels(expr)).filter((name) => !known.has(name));

const sections = new Set(
  [...text('docs/runbooks.md').matchAll(/^## (.+)$/gm)].map(([, title]) =>
    title!.toLowerCase().replaceAll(' ', '-'),
  ),
);

describe('alert rules', () => {
  it('use metrics that exist', () => {
    expect(rules.length).toBeGreaterThan(20);
    for (const { alert, expr } of rules) {
      expect(metricsIn(withoutLabels(expr)).length, alert).toBeGreaterThan(0);
      expect({ alert, unknown: unknownIn(expr) }).toEqual({ alert, unknown: [] });
    }
    expect(unknownIn('sum(rate(switchback_reads[5m]))'), 'a counter without its suffix').toEqual([
      'switchback_reads',
    ]);
  });

  it('have a severity, a summary, and a runbook; and no section of the runbooks is for nothing', () => {
    const linked = rules.map(({ alert, labels, annotations }) => {
      expect(SEVERITIES, alert).toContain(labels.severity);
      expect(annotations.summary.length, alert).toBeGreaterThan(10);
      const [document, section] = annotations.runbook_url.split('#');
      expect([document, sections.has(section!)], annotations.runbook_url).toEqual(['docs/runbooks.md', true]);
      return section;
    });
    expect([...sections].filter((section) => !linked.includes(section))).toEqual([]);
  });
});

it('the dashboard uses metrics that exist', () => {
  interface Panel {
    readonly title: string;
    readonly targets?: readonly { readonly expr: string }[];
  }
  const { panels } = JSON.parse(text('deploy/grafana/switchback.json')) as { panels: Panel[] };
  const exprs = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  expect(exprs.length).toBeGreaterThan(30);
  expect(exprs.flatMap(unknownIn)).toEqual([]);
});

/** Series of one minute's steps, and the alerts that fire after so many minutes. */
interface Case {
  readonly series: Readonly<Record<string, string>>;
  readonly fires: readonly string[];
  readonly after?: number;
}

const WELL = {
  'switchback_worker_control_readable{instance="a"}': '1x90',
  'switchback_worker_serving{instance="a"}': '1x90',
  'switchback_fleet_stopped{instance="a"}': '0x90',
  'switchback_fleet_drift_open{instance="a",class="missing"}': '0x90',
  'switchback_fleet_drift_found_total{instance="a",class="missing"}': '7x90',
  'switchback_fleet_stage_changes_total{instance="a",from="read-target",to="shadow-read"}': '3x90',
  'switchback_fleet_nodes{instance="a",state="behind"}': '0x90',
  'switchback_fleet_journal_age_seconds{instance="a",reads="target"}': '0.2x90',
  'switchback_fleet_journal_age_seconds{instance="a",reads="source"}': '2x90',
  'switchback_worker_mirror_failures_total{instance="a"}': '4x90',
  'temporal_workflow_task_execution_failed{instance="a"}': '1x90',
  'temporal_worker_task_slots_available{instance="a",task_queue="switchback-sms-control",worker_type="ActivityWorker"}':
    '100x90',
  'temporal_worker_task_slots_available{instance="a",task_queue="switchback-sms-data",worker_type="ActivityWorker"}':
    '0x90',
  'switchback_reads_total{instance="app",switchback_side="target"}': '0+600x90',
  'switchback_read_fallbacks_total{instance="app",switchback_fallback_reason="dirty"}': '0+6x90',
  'switchback_read_fallbacks_total{instance="app",switchback_fallback_reason="locking"}': '0+600x90',
  'switchback_target_failing{instance="app"}': '0x90',
  'switchback_aurora_write_fail_total{instance="app"}': '3x90',
  'switchback_shadow_comparisons_total{instance="app",switchback_outcome="differing"}': '2x90',
  'switchback_writes_total{instance="app",switchback_outcome="unknown"}': '1x90',
  'switchback_flags_cut_off{instance="app"}': '0x90',
  'switchback_flags_age{instance="app"}': '0.5x90',
  'switchback_buffer_errors_total{instance="app",switchback_buffer_name="message"}': '5x90',
};
const STEP = '0x30 1x60';

// prettier-ignore
const CASES: Readonly<Record<string, Case>> = {
  'all is well':                    { series: {}, fires: [], after: 80 },
  'a tenant is stopped':            { series: { 'switchback_fleet_stopped_tenant{instance="a",tenant="acme",phase="ramp"}': '1x90', 'switchback_fleet_stopped_tenant{instance="b",tenant="acme",phase="ramp"}': '1x90' }, fires: ['SwitchbackTenantStopped'] },
  'the fleet is stopped':           { series: { 'switchback_fleet_stopped{instance="a"}': '1x90' }, fires: ['SwitchbackFleetStopped'] },
  'drift is open':                  { series: { 'switchback_fleet_drift_open{instance="a",class="different"}': '2x90' }, fires: ['SwitchbackDriftOpen'] },
  'missing rows were found':        { series: { 'switchback_fleet_drift_found_total{instance="a",class="missing"}': STEP }, fires: ['SwitchbackMissingRows'] },
  'a flip back':                    { series: { 'switchback_fleet_stage_changes_total{instance="a",from="read-target",to="shadow-read"}': STEP }, fires: ['SwitchbackFlippedBack'], after: 40 },
  'a flip back, an hour later':     { series: { 'switchback_fleet_stage_changes_total{instance="a",from="read-target",to="shadow-read"}': STEP }, fires: [], after: 80 },
  'a node is behind':               { series: { 'switchback_fleet_nodes{instance="a",state="behind"}': '1x90' }, fires: ['SwitchbackNodesBehind'] },
  'the throttle holds':             { series: { 'switchback_fleet_waiting_tenants{instance="a",activity="backfill",side="target",reason="redo-log"}': '3x90' }, fires: ['SwitchbackThrottled'] },
  'the mirror is behind reads':     { series: { 'switchback_fleet_journal_age_seconds{instance="a",reads="target"}': '30x90' }, fires: ['SwitchbackMirrorBehindReads'] },
  'the mirror is behind':           { series: { 'switchback_fleet_journal_age_seconds{instance="a",reads="source"}': '900x90' }, fires: ['SwitchbackMirrorBehind'] },
  'the mirror fails':               { series: { 'switchback_worker_mirror_failures_total{instance="a"}': '0+30x90' }, fires: ['SwitchbackMirrorFailing'] },
  'no worker':                      { series: { 'switchback_worker_control_readable{instance="a"}': '_x90' }, fires: ['SwitchbackNoWorker'] },
  'a worker of two is gone':        { series: { 'switchback_worker_control_readable{instance="b"}': '1x10 _x80' }, fires: [] },
  'no control schema':              { series: { 'switchback_worker_control_readable{instance="a"}': '0x90' }, fires: ['SwitchbackControlUnreadable'] },
  'no Temporal':                    { series: { 'switchback_worker_serving{instance="a"}': '0x90' }, fires: ['SwitchbackWithoutTemporal'] },
  'workflow tasks fail':            { series: { 'temporal_workflow_task_execution_failed{instance="a"}': '0+1x90' }, fires: ['SwitchbackWorkflowTasksFail'] },
  'no slot for a flip':             { series: { 'temporal_worker_task_slots_available{instance="a",task_queue="switchback-sms-control",worker_type="ActivityWorker"}': '0x90' }, fires: ['SwitchbackControlQueueFull'] },
  'reads fall back':                { series: { 'switchback_read_fallbacks_total{instance="app",switchback_fallback_reason="deadline"}': '0+60x90' }, fires: ['SwitchbackReadsFallBack'] },
  'the target fails':               { series: { 'switchback_target_failing{instance="app"}': '1x90' }, fires: ['SwitchbackTargetFailing'] },
  'mirrors of the application fail': { series: { 'switchback_aurora_write_fail_total{instance="app"}': '0+1x90' }, fires: ['SwitchbackAuroraWritesFail'] },
  'a shadow read differs':          { series: { 'switchback_shadow_comparisons_total{instance="app",switchback_outcome="differing"}': STEP }, fires: ['SwitchbackShadowDiffers'], after: 35 },
  'an outcome is unknown':          { series: { 'switchback_writes_total{instance="app",switchback_outcome="unknown"}': STEP }, fires: ['SwitchbackOutcomeUnknown'], after: 35 },
  'a node is cut off':              { series: { 'switchback_flags_cut_off{instance="app"}': '1x90' }, fires: ['SwitchbackNodeCutOff'] },
  'stages are old':                 { series: { 'switchback_flags_age{instance="app"}': '60x90' }, fires: ['SwitchbackStagesOld'] },
  'stages are old, by OTLP':        { series: { 'switchback_flags_age_seconds{instance="app"}': '60x90' }, fires: ['SwitchbackStagesOld'] },
  'Redis fails':                    { series: { 'switchback_buffer_errors_total{instance="app",switchback_buffer_name="message"}': '0+600x90' }, fires: ['SwitchbackBufferFails'] },
};

describe('promtool', () => {
  const folder = mkdtempSync(join(tmpdir(), 'switchback-alerts-'));
  let promtool: Promtool;
  beforeAll(async () => {
    promtool = await promtoolProgram((line) => console.log(line));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** @returns what it says; it fails with what is wrong */
  const run = async (...words: string[]): Promise<string> => {
    const { stdout, stderr } = await promisify(execFile)(promtool.command, [
      ...promtool.args,
      ...words,
    ]).catch((error: unknown) => {
      const { stdout: said, stderr: wrong } = error as { stdout: string; stderr: string };
      throw new Error(`${said}${wrong}`);
    });
    return `${stdout}${stderr}`;
  };

  const testFile = (yaml: string, cases: Readonly<Record<string, Case>>): string => {
    const [rulesFile, path] = [join(folder, 'rules.yml'), join(folder, 'test.yml')];
    writeFileSync(rulesFile, yaml);
    const tests = Object.entries(cases).map(([name, { series, fires, after = 45 }]) => ({
      name,
      interval: '1m',
      input_series: Object.entries({ ...WELL, ...series }).map(([each, values]) => ({
        series: each,
        values,
      })),
      promql_expr_test: [
        {
          expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
          eval_time: `${after}m`,
          exp_samples: fires.map((alert) => ({ labels: `{alertname="${alert}"}`, value: 1 })),
        },
      ],
    }));
    writeFileSync(path, stringify({ rule_files: [rulesFile], evaluation_interval: '1m', tests }));
    return path;
  };

  it('takes the rules', async () => {
    expect(await run('check', 'rules', file(RULES))).toContain(`SUCCESS: ${rules.length} rules found`);
  });

  it('sees each alert fire where it must, and no other', async () => {
    expect(new Set(Object.values(CASES).flatMap(({ fires }) => fires))).toEqual(
      new Set(rules.map(({ alert }) => alert)),
    );
    expect(await run('test', 'rules', testFile(text(RULES), CASES))).toContain('SUCCESS');
  });

  it('sees a threshold that was moved', async () => {
    const moved = text(RULES).replace('{reads="target"}) > 5', '{reads="target"}) > 500');
    expect(moved).not.toBe(text(RULES));
    await expect(run('test', 'rules', testFile(moved, CASES))).rejects.toThrow('SwitchbackMirrorBehindReads');
  });
});

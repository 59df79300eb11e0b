/** The list of metrics as docs/metrics.md shows it, made from the tables in the code; and their names in Prometheus. */
import { INSTRUMENTS, type Instrument } from '../../src/app/telemetry.ts';
import { WORKER_METRICS, type WorkerMetric } from '../../src/metrics.ts';

/** As OpenTelemetry's exporter of this language names them for Prometheus. */
export const prometheusName = (name: string, { kind }: Pick<Instrument, 'kind'>): string =>
  `${name.replaceAll('.', '_')}${kind === 'counter' ? '_total' : ''}`;

/** Of Temporal's SDK, as far as our rules and dashboard use them. */
export const TEMPORAL_METRICS = [
  'temporal_num_pollers',
  'temporal_worker_task_slots_available',
  'temporal_activity_execution_failed',
  'temporal_workflow_task_execution_failed',
];

const labelsOf = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([label, values]) => `\`${label}\`: ${values}`)
    .join('<br>');

const INTRO = `# Metrics

Made from the tables in the code by [the test that checks it](../test/metrics.test.ts) (\`UPDATE_GOLDEN=1\`). A tenant is
never a label unless its row says so.

## Of the application: \`switchback/app\`, through OpenTelemetry

The scope is \`switchback\`. Prometheus gets the second name of a row from \`@opentelemetry/exporter-prometheus\`; whatever comes by
OTLP has \`_seconds\` behind it where the unit is \`s\`, and our rules and dashboard take both. All routers of a process report as
one; of gauges the highest tells.
`;

const WORKER = `## Of the worker: \`switchback worker --metrics HOST:PORT\`

Or \`SWITCHBACK_METRICS\`. \`switchback_fleet_…\` is read from the control schemas, at most every 5 s, and is the same from every
worker: take \`max without (instance, pod)\`, never the sum. \`switchback_worker_…\` is the process's own. While Temporal is down the
endpoint answers; while the control schemas can't be read, everything of the fleet is missing and
\`switchback_worker_control_readable\` is 0.

Behind them stands what Temporal's SDK says of itself, as its own dashboards expect it ([its
list](https://docs.temporal.io/references/sdk-metrics)). Our rules and dashboard use ${TEMPORAL_METRICS.map((name) => `\`${name}\``).join(', ')}.
`;

const row = (name: string, { kind, unit, labels, means }: Instrument | WorkerMetric): string =>
  `| ${name} | ${kind} | \`${unit}\` | ${labelsOf(labels)} | ${means} |`;

const table = (rows: readonly string[]): string => `
| name | type | unit | labels | meaning |
|---|---|---|---|---|
${rows.join('\n')}
`;

export function document(): string {
  const ofApplication = Object.entries<Instrument>(INSTRUMENTS).map(([name, instrument]) =>
    row(`\`${name}\`<br>\`${prometheusName(name, instrument)}\``, instrument),
  );
  const ofWorker = Object.entries<WorkerMetric>(WORKER_METRICS).map(([name, metric]) =>
    row(`\`${name}\``, metric),
  );
  return `${INTRO}${table(ofApplication)}\n${WORKER}${table(ofWorker)}`;
}

/** Mutants of what people rely on for six weeks: waves, gates, approvals, orders, drill, retention, histories, metrics. */
import type { Mutant } from './mutant.ts';

// prettier-ignore
export const OPERATIONS: readonly Mutant[] = [
  {
    name: 'a wave starts more tenants at once than its plan allows',
    file: 'src/domain/wave.ts', find: 'const room = policy.atOnce - count.moving;', put: 'const room = policy.atOnce;',
    test: 'test/workflows/fleet.test.ts', title: 'moves the waves in order, within their limits',
  },
  {
    name: 'tenants that stopped in a wave before do not stop the fleet',
    file: 'src/domain/wave.ts', find: 'if (stopped > policy.maxStopped)', put: 'if (place === wave && stopped > policy.maxStopped)',
    test: 'test/domain/wave.test.ts', title: 'stops itself with one stopped tenant more than its plan allows',
  },
  {
    name: 'a continued fleet forgets which requests it has seen',
    file: 'workflows/fleet-run.ts', find: 'this.seen = [...(after?.seen ?? [])];', put: 'this.seen = [];',
    test: 'test/workflows/fleet.test.ts', title: 'continues as new and loses neither its place nor a request',
  },
  {
    name: 'a freeze ends a moment late',
    file: 'src/domain/change-window.ts', find: 'from <= at && at < to)', put: 'from <= at && at <= to)',
    test: 'test/domain/change-window.test.ts', title: 'a wave without hours flips at any time, but not in a freeze',
  },
  {
    name: 'a tenant without a drill certificate may ramp',
    file: 'src/domain/gates/certificate.ts', find: 'open: age !== null && age <=', put: 'open: age === null || age <=',
    test: 'test/domain/gates.test.ts', title: 'certificate is closed',
  },
  {
    name: 'nodes that do not follow are not waited for',
    file: 'src/domain/gates/nodes.ts', find: ' && following === live', put: '',
    test: 'test/domain/gates.test.ts', title: 'nodes is closed',
  },
  {
    name: 'one person approves twice',
    file: 'src/domain/command.ts', find: 'if (isAmong(actor, approvers)) return `${actor} approved already', put: 'if (approvers.length > 9) return `${actor} approved already',
    test: 'test/domain/command.test.ts', title: 'asks as many different people as the wave says',
  },
  {
    name: 'a signal that comes twice acts twice',
    file: 'workflows/run.ts', find: '    if (this.#seen.includes(parsed.command.requestId)) return;\n    const why', put: '    const why',
    test: 'test/workflows/operators.test.ts', title: 'refuses what comes in the wrong order, late or for a phase that is over; a copy does nothing',
  },
  {
    name: 'an order for a phase that is over is carried out',
    file: 'src/domain/command.ts', find: 'command.expectPhase !== null && command.expectPhase !== phase', put: 'command.expectPhase !== null && phase === null',
    test: 'test/workflows/operators.test.ts', title: 'refuses what comes in the wrong order, late or for a phase that is over; a copy does nothing',
  },
  {
    name: 'the drill cuts no connection',
    file: 'activities/drill.ts', find: 'cutTarget: () => pair.target.cut(),', put: 'cutTarget: () => Promise.resolve(0),',
    test: 'test/workflows/drill.test.ts', title: 'asks the application twice, cuts its own connections in between',
  },
  {
    name: 'the retention that is asked for forgets the pace of a wave',
    file: 'src/domain/retention.ts', find: 'every * (tenants.length - 1)', put: '0 * (every + tenants.length)',
    test: 'test/cli/retention.test.ts', title: 'asks for the time of all waves',
  },
  {
    name: 'a file of the archive may have been altered',
    file: 'src/history/verify.ts', find: 'if (sum !== entry.sha256)', put: 'if (sum.length !== entry.sha256.length)',
    test: 'test/history/archive.test.ts', title: 'says which file was altered',
  },
  {
    name: 'a change of stage is counted whenever it is read',
    file: 'src/db/control-numbers.ts', find: 'this.#upTo = upTo;', put: '',
    test: 'test/worker-metrics.test.ts', title: 'counts a change of stage once',
  },
  {
    name: 'a metric without a value is 0',
    file: 'src/metrics.ts', find: 'if (found.length === 0 && common.labelNames.length === 0) this.remove();', put: '',
    test: 'test/worker-metrics.test.ts', title: 'says that the control schemas can’t be read',
  },
  {
    name: 'an address without a port is taken',
    file: 'src/metrics.ts', find: "if (digits !== '' && port <= 65_535)", put: 'if (port <= 65_535)',
    test: 'test/worker-metrics.test.ts', title: 'an address that can’t be read or had',
  },
  {
    name: 'the list of metrics is older than the code',
    file: 'src/metrics.ts', find: "means: 'Tenants by phase'", put: "means: 'Tenants in each phase'",
    test: 'test/metrics.test.ts', title: 'the list of metrics is the one that the code makes',
  },
  {
    name: 'the dashboard shows a metric that was renamed',
    file: 'src/metrics.ts', find: '  switchback_fleet_rows_per_second: ', put: '  switchback_fleet_rows_a_second: ',
    test: 'test/alerts.test.ts', title: 'the dashboard uses metrics that exist',
  },
  {
    name: 'an alert has a severity that nobody routes',
    file: 'deploy/alerts.yml', find: 'severity: page }\n        annotations:\n          summary: The fleet stopped', put: 'severity: urgent }\n        annotations:\n          summary: The fleet stopped',
    test: 'test/alerts.test.ts', title: 'have a severity, a summary, and a runbook',
  },
];

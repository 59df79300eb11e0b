/** What Switchback needs of a Temporal cluster: search attributes to filter by, and a retention that outlives the weeks. */
import type { Temporal } from '../connect.ts';
import { SECOND, formatDuration, type Milliseconds } from '../domain/duration.ts';
import type { Plan } from '../domain/plan.ts';
import { retentionHours, retentionNeed } from '../domain/retention.ts';
import { SEARCH_ATTRIBUTES } from '../domain/search-attributes.ts';

export interface ClusterCheck {
  /** Commands that create what is missing. */
  readonly missing: readonly string[];
  readonly names: readonly string[];
  /** null: long enough. */
  readonly retention: ShortRetention | null;
}

export interface ShortRetention {
  /** As it is, and as it is asked for. */
  readonly has: string;
  readonly says: string;
  readonly remedy: string;
  readonly command: string;
}

/** IndexedValueType of the API: KEYWORD, DATETIME. */
const TYPES: Readonly<Record<string, number>> = { Keyword: 2, Datetime: 6 };

export async function checkCluster({ client }: Temporal, plan: Plan): Promise<ClusterCheck> {
  const { namespace } = plan.temporal;
  const { connection } = client;
  const [attributes, described] = await Promise.all([
    connection.operatorService.listSearchAttributes({ namespace }),
    connection.workflowService.describeNamespace({ namespace }),
  ]);
  const standing = attributes.customAttributes ?? {};
  const names = Object.entries(SEARCH_ATTRIBUTES).filter(
    ([name, type]) => Number(standing[name]) !== TYPES[type],
  );
  const retention = Number(described.config?.workflowExecutionRetentionTtl?.seconds ?? 0) * SECOND;
  return {
    names: names.map(([name]) => name),
    missing: names.map(
      ([name, type]) =>
        `temporal operator search-attribute create --namespace ${namespace} --name ${name} --type ${type}`,
    ),
    retention: tooShort(retention, plan),
  };
}

/** Temporal deletes a run that long after its end, and a run of the continuous reconcile ends every day. */
export function tooShort(retention: Milliseconds, plan: Plan): ShortRetention | null {
  const { needs, of } = retentionNeed(plan);
  if (retention >= needs) return null;
  const { namespace } = plan.temporal;
  const sum =
    of.moves === 0
      ? 'history.keep'
      : `${formatDuration(of.moves)} for its waves and ${formatDuration(of.keep)} of history.keep`;
  return {
    has: formatDuration(retention),
    says: `deletes a run ${formatDuration(retention)} after its end, the plan needs ${formatDuration(needs)} (${sum})`,
    remedy: `lengthen it with the command below${of.moves === 0 ? '' : ', or let the workers export with history: { folder: … }'}`,
    command: `temporal operator namespace update --namespace ${namespace} --retention ${retentionHours(needs)}h`,
  };
}

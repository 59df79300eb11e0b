/** What Switchback needs of a Temporal cluster: search attributes to filter by, and a retention that outlives the weeks. */
import type { Temporal } from '../connect.ts';
import { HOUR, SECOND, formatDuration } from '../domain/duration.ts';
import type { Plan } from '../domain/plan.ts';
import { RETENTION_HOURS, SEARCH_ATTRIBUTES } from '../domain/search-attributes.ts';

export interface ClusterCheck {
  /** Commands that create what is missing. */
  readonly missing: readonly string[];
  readonly names: readonly string[];
  /** null: long enough. */
  readonly retention: { readonly says: string; readonly command: string } | null;
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
  const hours = (Number(described.config?.workflowExecutionRetentionTtl?.seconds ?? 0) * SECOND) / HOUR;
  return {
    names: names.map(([name]) => name),
    missing: names.map(
      ([name, type]) =>
        `temporal operator search-attribute create --namespace ${namespace} --name ${name} --type ${type}`,
    ),
    retention:
      hours >= RETENTION_HOURS
        ? null
        : {
            says: `namespace ${namespace} keeps a closed history for ${formatDuration(hours * HOUR)} only; keep it for 90 days, or export it in time`,
            command: `temporal operator namespace update --namespace ${namespace} --retention ${RETENTION_HOURS}h`,
          },
  };
}

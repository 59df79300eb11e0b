/**
 * Names that leave the databases: workflow ids and task queues.
 *
 * A tenant's id is free text (quotes, emoji, 255 characters, two that differ only in case); a workflow
 * id must be short, lower case and collision free, so it is a readable slug plus a hash of the exact text.
 */
const FNV_OFFSET = 0xcbf29ce484222325n;
const FNV_PRIME = 0x100000001b3n;

/** 64-bit FNV-1a over UTF-16 code units, 13 characters base 36; enough to tell thousands of tenants apart. */
export function shortHash(text: string): string {
  let hash = FNV_OFFSET;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    for (const byte of [unit & 0xff, unit >> 8]) {
      hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * FNV_PRIME);
    }
  }
  return hash.toString(36).padStart(13, '0');
}

const slug = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 40);

/** @returns at most 100 lower-case characters, one per (migration, tenant). */
export const tenantWorkflowId = (migration: string, tenant: string): string =>
  `switchback/${slug(migration)}/${slug(tenant)}-${shortHash(`${migration}\0${tenant}`)}`;

export const reconcileWorkflowId = (migration: string, tenant: string): string =>
  `${tenantWorkflowId(migration, tenant)}/reconcile`;

/** One fleet per migration. */
export const fleetWorkflowId = (migration: string): string =>
  `switchback/${slug(migration)}/fleet-${shortHash(migration)}`;

/** Of the workers of a migration, where they are versioned. */
export const deploymentName = (migration: string): string => `switchback-${slug(migration)}`;

export type QueueName = 'control' | 'data' | 'reconcile';

/** Flips never wait behind copying: each kind of work has its own queue and its own slots. */
export const taskQueue = (migration: string, queue: QueueName): string =>
  `switchback-${slug(migration)}-${queue}`;

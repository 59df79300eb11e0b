/** What shadow reads found for a tenant, added up over the nodes that counted. */
import type { Evidence } from '../domain/evidence.ts';
import { isDifference, type Differences, type ShadowRead } from '../domain/shadow.ts';
import type { Database } from './database.ts';
import { qualified, tenantLiteral } from './sql.ts';

/** A name that holds an id would make a kind of read of every read. */
const READS_MAX = 1_000;

type Found = Pick<ShadowRead, 'classes' | 'slowerByMs'>;

const NONE: Found = { classes: {}, slowerByMs: null };

/** By the name of the read, the most differing first. */
export async function readShadowReads(
  source: Database,
  control: string,
  tenant: string,
): Promise<ShadowRead[]> {
  const rows = await source.rows(
    `SELECT read_name, SUM(samples) AS samples, SUM(differing) AS differing FROM ${qualified(control, 'shadow')}
     WHERE tenant = ${tenantLiteral(tenant)} GROUP BY read_name ORDER BY SUM(differing) DESC, read_name LIMIT ${READS_MAX}`,
  );
  const found = await readFound(source, control, tenant);
  return rows.map((row) => ({
    read: row['read_name']!,
    samples: Number(row['samples']),
    differing: Number(row['differing']),
    ...(found.get(row['read_name']!) ?? NONE),
  }));
}

async function readFound(source: Database, control: string, tenant: string): Promise<Map<string, Found>> {
  const rows = await source.rows(
    `SELECT read_name, class, SUM(found) AS found, SUM(by_ms) AS by_ms FROM ${qualified(control, 'shadow_difference')}
     WHERE tenant = ${tenantLiteral(tenant)} GROUP BY read_name, class`,
  );
  const found = new Map<string, Found>();
  for (const row of rows) {
    const [read, word, count] = [row['read_name']!, row['class']!, Number(row['found'])];
    if (!isDifference(word) || count === 0) continue; // a newer node's word; `differing` counts it all the same
    const { classes, slowerByMs } = found.get(read) ?? NONE;
    found.set(read, {
      classes: { ...classes, [word]: count },
      slowerByMs: word === 'slower' ? Math.round(Number(row['by_ms']) / count) : slowerByMs,
    });
  }
  return found;
}

/** For the gates: sums, and the worst read by its name. */
export async function readShadow(
  source: Database,
  control: string,
  tenant: string,
): Promise<Evidence['shadow']> {
  const reads = await readShadowReads(source, control, tenant);
  const sum = (of: (read: ShadowRead) => number): number => reads.reduce((all, read) => all + of(read), 0);
  const classes: Record<string, number> = {};
  for (const read of reads)
    for (const [word, count] of Object.entries(read.classes)) classes[word] = (classes[word] ?? 0) + count;
  // A node that counts none leaves the sum unknown.
  const [counted] = await source.rows(
    `SELECT IF(COUNT(*) = COUNT(read_count), SUM(read_count), NULL) AS n FROM ${qualified(control, 'shadow')} WHERE tenant = ${tenantLiteral(tenant)}`,
  );
  const [worst] = reads.filter(({ differing }) => differing > 0);
  return {
    samples: sum(({ samples }) => samples),
    differing: sum(({ differing }) => differing),
    reads: counted?.['n'] == null ? null : Number(counted['n']),
    classes: classes as Differences,
    ...(worst === undefined ? {} : { worst: worst.read }),
  };
}

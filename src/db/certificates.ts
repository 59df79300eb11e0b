/** Drill certificates: what was rehearsed, with which servers, and a digest of all that. Append-only. */
import { createHash } from 'node:crypto';

import type { Server } from './database.ts';
import { qualified, tenantLiteral } from './sql.ts';
import type { Pair } from './tracked.ts';

/** @param content kept in its order; the digest is of everything beside it */
export async function writeCertificate(
  { source, target, control }: Pair,
  tenant: string,
  content: Readonly<Record<string, string | number>>,
): Promise<void> {
  const whole = {
    tenant,
    ...content,
    source: said(await source.server()),
    target: said(await target.server()),
  };
  const digest = createHash('sha256').update(JSON.stringify(whole)).digest('hex');
  await source.run(
    `INSERT INTO ${qualified(control, 'certificate')} (tenant, content) VALUES (${tenantLiteral(tenant)}, ?)`,
    [JSON.stringify({ ...whole, digest })],
  );
}

const said = ({ flavour, version }: Server): string => `${flavour} ${version}`;

/**
 * What a verdict stood on, kept with the drift that it proved: who was asked, when, under which locks, and
 * how far the journal reached by then. Keys, owners and numbers, never a value of a row.
 */
import type { Database, Session, TextRow } from './database.ts';
import { qualified } from './sql.ts';

export interface ServerIdentity {
  readonly version: string;
  /** As the server knows itself: behind a proxy it is not the address that was dialled. */
  readonly name: string;
  readonly id: string;
}

/** Read once for a batch of suspects. */
export interface Witness {
  /** The source's clock, after both sides and the journal were read. */
  readonly readAt: string;
  /** Ids that the whole journal held by then; null: it was empty. */
  readonly journalIds: { readonly first: string; readonly last: string } | null;
  readonly source: ServerIdentity;
  readonly target: ServerIdentity;
}

export interface VerdictInputs extends Witness {
  /** Read under the lock; in flight at every look, mirrored under the lock and read back; stood still, then read under the source row's lock. */
  readonly how: 'read' | 'mirrored' | 'settled';
  /** Tenants whose locks were held: the first of them, and their number. */
  readonly locked: readonly string[];
  readonly lockedTenants: number;
  readonly sourceRow: boolean;
  readonly sourceOwner: string | null;
  /** Does the source row's owner migrate? If not, the row counts as absent. */
  readonly ownerMirrored: boolean;
  readonly targetRow: boolean;
  readonly targetOwner: string | null;
  readonly journaled: boolean;
}

/** By the names that MySQL, MariaDB and Aurora have; what a server does not know is not listed. */
const IDENTITY = `SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'hostname', 'port', 'server_uuid', 'server_uid', 'server_id', 'aurora_server_id')`;

export async function bearWitness(
  source: Database,
  target: Session | Database,
  control: string,
): Promise<Witness> {
  const journal = qualified(control, 'journal');
  const [row] = await source.rows(
    `SELECT NOW(6) AS at, (SELECT MIN(id) FROM ${journal}) AS first_id, (SELECT MAX(id) FROM ${journal}) AS last_id`,
  );
  const first = row?.['first_id'] ?? null;
  return {
    readAt: row!['at']!,
    journalIds: first === null ? null : { first, last: row!['last_id']! },
    source: identity(await source.rows(IDENTITY)),
    target: identity(await target.rows(IDENTITY)),
  };
}

function identity(rows: readonly TextRow[]): ServerIdentity {
  const values = new Map(rows.map((row) => [row['Variable_name'], row['Value'] ?? '']));
  const known = (...names: readonly string[]): string =>
    names.map((name) => values.get(name) ?? '').find((value) => value !== '') ?? '';
  const host = known('aurora_server_id', 'hostname');
  return {
    version: known('version'),
    name: `${host}:${known('port')}`,
    id: known('server_uuid', 'server_uid', 'server_id'),
  };
}

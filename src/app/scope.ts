/** The read or the write that the running code is part of: what is nested joins it, on the same connection. */
import type { AsyncLocalStorage } from 'node:async_hooks';

import type { Connection } from 'mysql2/promise';

import { isPerTenant } from '../domain/tenant-schema.ts';
import { OtherSchemaError } from './errors.ts';
import { isLent, type ReadFunction } from './handle.ts';

export interface Scope {
  readonly kind: 'read' | 'write';
  readonly conn: Connection;
  /** Whose schema its statements run in, where each tenant has its own. */
  readonly tenant: string;
  /** Of a write: every tenant that was written. */
  readonly tenants: Set<string>;
}

export type Scopes = AsyncLocalStorage<Scope>;

/** The function, run so that what it calls can join. */
export const scoped =
  <T>(scopes: Scopes, start: Omit<Scope, 'conn'>, fn: ReadFunction<T>): ReadFunction<T> =>
  (conn) =>
    scopes.run({ ...start, conn }, fn, conn);

/** @returns null where there is nothing to join; what was begun in a scope may outlive it */
export function joined(scopes: Scopes): Scope | null {
  const scope = scopes.getStore();
  return scope !== undefined && isLent(scope.conn) ? scope : null;
}

/** A transaction has one default schema. */
export function assertSameSchema(scope: Scope, tenant: string, schema: string): void {
  if (scope.tenant === tenant || !isPerTenant(schema)) return;
  throw new OtherSchemaError(
    `a ${scope.kind} of tenant ${scope.tenant} is under way; ${tenant} has a schema of its own and needs a ${scope.kind} of its own, after it`,
  );
}

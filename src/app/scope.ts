/** The read or the write that the running code is part of: what is nested joins it, on the same connection. */
import type { AsyncLocalStorage } from 'node:async_hooks';

import type { Connection } from 'mysql2/promise';

import { isPerTenant } from '../domain/tenant-schema.ts';
import { OtherSchemaError } from './errors.ts';
import type { ReadFunction } from './handle.ts';

export interface Scope {
  readonly kind: 'read' | 'write';
  readonly conn: Connection;
  /** Whose schema its statements run in, where each tenant has its own. */
  readonly tenant: string;
  /** Of a write: every tenant that was written. */
  readonly tenants: Set<string>;
  isOpen: boolean;
}

export type Scopes = AsyncLocalStorage<Scope>;

/** The function, run so that what it calls can join. */
export const scoped =
  <T>(scopes: Scopes, start: Omit<Scope, 'conn' | 'isOpen'>, fn: ReadFunction<T>): ReadFunction<T> =>
  async (conn) => {
    const scope: Scope = { ...start, conn, isOpen: true };
    try {
      return await scopes.run(scope, () => fn(conn));
    } finally {
      scope.isOpen = false;
    }
  };

/** A transaction has one default schema. */
export function assertSameSchema(scope: Scope, tenant: string, schema: string): void {
  if (scope.tenant === tenant || !isPerTenant(schema)) return;
  throw new OtherSchemaError(
    `a ${scope.kind} of tenant ${scope.tenant} is under way; ${tenant} has a schema of its own and needs a ${scope.kind} of its own, after it`,
  );
}

/** What the worker registers. */
export { continuousReconcile } from './reconcile.ts';
export { tenantMigration } from './tenant.ts';

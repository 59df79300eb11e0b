/** What the worker registers. */
export { fleetMigration } from './fleet.ts';
export { continuousReconcile } from './reconcile.ts';
export { tenantMigration } from './tenant.ts';

/** Where a tenant of the roster stands, as conditions over its row `r` and the record `m` of its migration. */
import { qualified } from './sql.ts';

/** A start whose run was never heard of is tried again after this. */
const STARTED_SECONDS = 60;

export const rosterTable = (control: string): string => qualified(control, 'fleet_tenant');

export const NOT_STARTED = `r.held IS NULL AND m.tenant IS NULL AND (r.started_at IS NULL OR r.started_at < NOW(6) - INTERVAL ${STARTED_SECONDS} SECOND)`;

/** Neither put aside by an operator nor given up. */
export const IS_AWAITED = "r.held IS NULL AND COALESCE(m.phase, '') <> 'aborted'";

/** Between its start and `ramp`. */
export const IS_MOVING = `${IS_AWAITED} AND NOT (${NOT_STARTED}) AND COALESCE(m.phase, '') <> 'ramp'`;

/**
 * The control schemas: what Switchback keeps beside the data, on each side.
 *
 * Whatever decides lives on the source, in one failure domain with the data it decides about. The target
 * keeps only what must commit together with the rows: locks, turns and cursors. Statements are
 * idempotent; a newer version appends statements, it never rewrites one.
 */
import type { Database } from './database.ts';
import { READ_LOAD_COLUMNS } from './read-load.ts';
import { ident, qualified } from './sql.ts';

export const CONTROL_VERSION = 1;

const OPTIONS = 'ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin';
/** A tenant id as bytes: 255 characters of UTF-8. */
const TENANT = 'VARBINARY(1020)';

/** Written while the throttle looks at replicas of this side. */
const HEARTBEAT = `id TINYINT UNSIGNED NOT NULL PRIMARY KEY, beaten_at TIMESTAMP(6) NOT NULL`;

// prettier-ignore
const SOURCE_TABLES: Readonly<Record<string, string>> = {
  version: `id TINYINT UNSIGNED NOT NULL PRIMARY KEY, schema_version INT UNSIGNED NOT NULL, change_version BIGINT UNSIGNED NOT NULL,
    capture VARCHAR(16) NOT NULL DEFAULT 'triggers'`,
  tracked_table: `id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(64) NOT NULL, owner ${TENANT} NOT NULL DEFAULT '', tenancy TEXT NOT NULL, time_column VARCHAR(64) NULL,
    created MEDIUMTEXT NULL, installed_at TIMESTAMP(6) NULL, time_changed VARCHAR(255) NULL,
    source_shape MEDIUMTEXT NULL, target_shape MEDIUMTEXT NULL, shaped_at TIMESTAMP(6) NULL, altered TEXT NULL, UNIQUE KEY by_name (owner, name)`,
  time_change: `id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, table_id INT UNSIGNED NOT NULL, KEY by_table (table_id)`,
  capture_trigger: `owner ${TENANT} NOT NULL DEFAULT '', name VARCHAR(64) NOT NULL, table_name VARCHAR(64) NOT NULL, body_hash CHAR(64) NOT NULL, created VARCHAR(32) NULL, PRIMARY KEY (owner, name)`,
  journal: `id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, tenant ${TENANT} NOT NULL, table_id INT UNSIGNED NOT NULL, row_key VARBINARY(8192) NOT NULL,
    parent_key VARBINARY(8192) NULL, created_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), KEY by_tenant (tenant, id), KEY by_key (table_id, row_key(40))`,
  stage: `tenant ${TENANT} NOT NULL PRIMARY KEY, stage VARCHAR(16) NOT NULL, epoch BIGINT UNSIGNED NOT NULL, version BIGINT UNSIGNED NOT NULL, dirty TINYINT NOT NULL DEFAULT 0,
    changed_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), KEY by_version (version), KEY by_stage (stage)`,
  audit: `id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), tenant ${TENANT} NOT NULL, event VARCHAR(32) NOT NULL,
    before_value VARCHAR(64) NULL, after_value VARCHAR(64) NULL, epoch BIGINT UNSIGNED NULL, actor VARCHAR(255) NOT NULL, reason VARCHAR(1000) NOT NULL, request_id VARCHAR(255) NULL,
    KEY by_tenant (tenant, id)`,
  node: `node VARCHAR(128) NOT NULL PRIMARY KEY, service VARCHAR(128) NOT NULL, version BIGINT UNSIGNED NOT NULL, seen_at TIMESTAMP(6) NOT NULL, lease_until TIMESTAMP(6) NOT NULL`,
  migration: `tenant ${TENANT} NOT NULL PRIMARY KEY, phase VARCHAR(16) NOT NULL, mode VARCHAR(16) NOT NULL, reason VARCHAR(2000) NULL, since TIMESTAMP(6) NOT NULL,
    run_id VARCHAR(64) NOT NULL, wave VARCHAR(128) NOT NULL, started_at TIMESTAMP(6) NOT NULL, rows_per_second INT UNSIGNED NOT NULL DEFAULT 0, reconcile_rows_per_second INT UNSIGNED NOT NULL DEFAULT 0, waivers TEXT NULL,
    approved TINYINT NOT NULL DEFAULT 0, backfill_round INT UNSIGNED NOT NULL DEFAULT 0`,
  fleet: `id TINYINT UNSIGNED NOT NULL PRIMARY KEY, run_id VARCHAR(64) NOT NULL, wave VARCHAR(128) NOT NULL, mode VARCHAR(16) NOT NULL, reason VARCHAR(2000) NULL, since TIMESTAMP(6) NOT NULL`,
  fleet_tenant: `position INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, tenant ${TENANT} NOT NULL, wave VARCHAR(128) NOT NULL, held VARCHAR(1000) NULL, started_at TIMESTAMP(6) NULL,
    UNIQUE KEY by_tenant (tenant), KEY by_wave (wave)`,
  fleet_decision: `id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), wave VARCHAR(128) NOT NULL, event VARCHAR(255) NOT NULL,
    actor VARCHAR(255) NOT NULL, reason VARCHAR(1000) NOT NULL, evidence MEDIUMTEXT NULL`,
  shadow: `tenant ${TENANT} NOT NULL, read_name VARCHAR(128) NOT NULL, node VARCHAR(128) NOT NULL, samples BIGINT UNSIGNED NOT NULL, differing BIGINT UNSIGNED NOT NULL,
    first_at TIMESTAMP(6) NOT NULL, last_at TIMESTAMP(6) NOT NULL, read_count BIGINT UNSIGNED NULL, PRIMARY KEY (tenant, read_name, node)`,
  shadow_difference: `tenant ${TENANT} NOT NULL, read_name VARCHAR(128) NOT NULL, node VARCHAR(128) NOT NULL, class VARCHAR(16) NOT NULL, found BIGINT UNSIGNED NOT NULL,
    by_ms BIGINT UNSIGNED NOT NULL DEFAULT 0, last_at TIMESTAMP(6) NOT NULL, PRIMARY KEY (tenant, read_name, node, class)`,
  read_load: `tenant ${TENANT} NOT NULL, day DATE NOT NULL, stage VARCHAR(16) NOT NULL, side VARCHAR(8) NOT NULL, micros BIGINT UNSIGNED NOT NULL,
    first_at TIMESTAMP(6) NOT NULL, last_at TIMESTAMP(6) NOT NULL, ${READ_LOAD_COLUMNS}, PRIMARY KEY (tenant, day, stage, side)`,
  gate: `tenant ${TENANT} NOT NULL, entered_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), gate VARCHAR(32) NOT NULL, phase VARCHAR(16) NOT NULL, is_open TINYINT NOT NULL,
    waived TINYINT NOT NULL, first_closed_at TIMESTAMP(6) NULL, closed_at TIMESTAMP(6) NULL, changed_at TIMESTAMP(6) NULL, saw VARCHAR(500) NOT NULL, needs VARCHAR(500) NOT NULL,
    PRIMARY KEY (tenant, entered_at, gate)`,
  waiver: `id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, tenant ${TENANT} NOT NULL, request_id VARCHAR(255) NOT NULL, phase VARCHAR(16) NOT NULL, gate VARCHAR(32) NOT NULL,
    actor VARCHAR(255) NOT NULL, reason VARCHAR(1000) NOT NULL, at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), until_ms BIGINT UNSIGNED NOT NULL, ended_at TIMESTAMP(6) NULL,
    UNIQUE KEY by_request (tenant, request_id)`,
  mirror_count: `tenant ${TENANT} NOT NULL, minute INT UNSIGNED NOT NULL, attempts INT UNSIGNED NOT NULL, failures INT UNSIGNED NOT NULL, PRIMARY KEY (tenant, minute), KEY by_minute (minute)`,
  cluster: `id TINYINT UNSIGNED NOT NULL PRIMARY KEY, retention_ms BIGINT UNSIGNED NOT NULL, read_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)`,
  pass: `id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, tenant ${TENANT} NOT NULL, started_at TIMESTAMP(6) NOT NULL, ended_at TIMESTAMP(6) NULL, position TEXT NULL,
    windows BIGINT UNSIGNED NOT NULL DEFAULT 0, row_count BIGINT UNSIGNED NOT NULL DEFAULT 0, suspects BIGINT UNSIGNED NOT NULL DEFAULT 0, in_flight BIGINT UNSIGNED NOT NULL DEFAULT 0,
    hot BIGINT UNSIGNED NOT NULL DEFAULT 0, repaired BIGINT UNSIGNED NOT NULL DEFAULT 0, drifted BIGINT UNSIGNED NOT NULL DEFAULT 0, clean TINYINT NULL, KEY by_tenant (tenant, id)`,
  pass_window: `pass_id BIGINT UNSIGNED NOT NULL, seq INT UNSIGNED NOT NULL, table_id INT UNSIGNED NOT NULL, bounds VARCHAR(2000) NOT NULL, source_rows BIGINT UNSIGNED NOT NULL,
    target_rows BIGINT UNSIGNED NOT NULL, source_digest CHAR(32) NOT NULL, target_digest CHAR(32) NOT NULL, executor VARCHAR(16) NOT NULL, at TIMESTAMP(6) NOT NULL,
    started_at TIMESTAMP(6) NULL, PRIMARY KEY (pass_id, seq)`,
  pass_drift: `pass_id BIGINT UNSIGNED NOT NULL, table_id INT UNSIGNED NOT NULL, class VARCHAR(16) NOT NULL, found BIGINT UNSIGNED NOT NULL, kept BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (pass_id, table_id, class)`,
  drift: `id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, tenant ${TENANT} NOT NULL, table_id INT UNSIGNED NOT NULL, row_key VARBINARY(8192) NOT NULL, class VARCHAR(16) NOT NULL,
    columns_differing TEXT NULL, source_hash CHAR(64) NULL, target_hash CHAR(64) NULL, pass_id BIGINT UNSIGNED NULL, found_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    repaired_at TIMESTAMP(6) NULL, verified_at TIMESTAMP(6) NULL, recurred TINYINT NOT NULL DEFAULT 0, repaired_by VARCHAR(16) NULL, inputs TEXT NULL, KEY by_tenant (tenant, id)`,
  heartbeat: HEARTBEAT,
  progress: `tenant ${TENANT} NOT NULL, activity VARCHAR(16) NOT NULL, rows_per_second INT UNSIGNED NOT NULL, slow VARCHAR(500) NULL, slow_since TIMESTAMP(6) NULL, at TIMESTAMP(6) NOT NULL,
    PRIMARY KEY (tenant, activity)`,
  canary: `id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, drill VARCHAR(64) NOT NULL, tenant ${TENANT} NOT NULL, table_name VARCHAR(64) NOT NULL, row_key TEXT NOT NULL,
    at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), KEY by_drill (drill)`,
  certificate: `id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, tenant ${TENANT} NOT NULL, at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), content TEXT NOT NULL, KEY by_tenant (tenant, id)`,
};

// prettier-ignore
const TARGET_TABLES: Readonly<Record<string, string>> = {
  heartbeat: HEARTBEAT,
  tenant_lock: `tenant ${TENANT} NOT NULL PRIMARY KEY, direction VARCHAR(8) NOT NULL, epoch BIGINT UNSIGNED NOT NULL`,
  mirror_turn: `tenant ${TENANT} NOT NULL PRIMARY KEY, mirrored_at TIMESTAMP(6) NOT NULL`,
  backfill_cursor: `tenant ${TENANT} NOT NULL, table_id INT UNSIGNED NOT NULL, part SMALLINT UNSIGNED NOT NULL, round INT UNSIGNED NOT NULL, after_key VARBINARY(8192) NULL,
    end_key VARBINARY(8192) NULL, copied_rows BIGINT UNSIGNED NOT NULL, estimated_rows BIGINT UNSIGNED NOT NULL, finished TINYINT NOT NULL, updated_at TIMESTAMP(6) NOT NULL,
    PRIMARY KEY (tenant, table_id, part)`,
};

const creates = (schema: string, tables: Readonly<Record<string, string>>): string[] => [
  `CREATE DATABASE IF NOT EXISTS ${ident(schema)} DEFAULT CHARACTER SET utf8mb4`,
  ...Object.entries(tables).map(
    ([name, body]) => `CREATE TABLE IF NOT EXISTS ${qualified(schema, name)} (${body}) ${OPTIONS}`,
  ),
];

export const sourceControlSql = (schema: string): string[] => [
  ...creates(schema, SOURCE_TABLES),
  `INSERT IGNORE INTO ${qualified(schema, 'version')} (id, schema_version, change_version) VALUES (1, ${CONTROL_VERSION}, 0)`,
];

export const targetControlSql = (schema: string): string[] => creates(schema, TARGET_TABLES);

/** Safe to repeat; the dry run prints the same statements. */
export async function installControl(source: Database, target: Database, schema: string): Promise<void> {
  for (const sql of sourceControlSql(schema)) await source.run(sql);
  for (const sql of targetControlSql(schema)) await target.run(sql);
}

/** Rows of the target that must exist before a tenant can be locked. */
export async function admitTenants(
  target: Database,
  schema: string,
  tenants: readonly string[],
): Promise<void> {
  for (const tenant of tenants) {
    const bytes = Buffer.from(tenant, 'utf8');
    await target.run(`INSERT IGNORE INTO ${qualified(schema, 'tenant_lock')} VALUES (?, 'forward', 0)`, [
      bytes,
    ]);
    await target.run(
      `INSERT IGNORE INTO ${qualified(schema, 'mirror_turn')} VALUES (?, '2000-01-01 00:00:00')`,
      [bytes],
    );
  }
}

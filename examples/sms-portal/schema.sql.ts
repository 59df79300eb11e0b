/**
 * The portal's tables, as such a product has them after some years: a child without a tenant column, values
 * that are unique across tenants, one table that all tenants share, money, JSON, binary and every emoji.
 */
const OPTIONS = 'ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci';

/** Parents before their children. */
export const TABLES: Readonly<Record<string, string>> = {
  countries: `code CHAR(2) NOT NULL PRIMARY KEY, name VARCHAR(60) NOT NULL, prefix SMALLINT UNSIGNED NOT NULL, price DECIMAL(10,6) NOT NULL`,

  customers: `id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, tenant_id VARCHAR(64) NOT NULL, email VARCHAR(190) NOT NULL, name VARCHAR(120) NOT NULL,
    country CHAR(2) NOT NULL, balance DECIMAL(20,4) NOT NULL DEFAULT 0, flags BIT(8) NOT NULL DEFAULT b'0', created_at DATETIME(6) NOT NULL,
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), UNIQUE KEY by_email (tenant_id, email)`,

  messages: `id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, tenant_id VARCHAR(64) NOT NULL, customer_id BIGINT UNSIGNED NOT NULL, body TEXT NOT NULL,
    status ENUM('queued','sent','delivered','failed') NOT NULL DEFAULT 'queued', price DECIMAL(12,6) NOT NULL, meta JSON NULL, created_at DATETIME(6) NOT NULL,
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), KEY by_time (tenant_id, created_at), KEY by_customer (customer_id)`,

  deliveries: `id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, message_id BIGINT UNSIGNED NOT NULL, attempt TINYINT UNSIGNED NOT NULL,
    status ENUM('accepted','delivered','failed') NOT NULL, at TIMESTAMP(6) NOT NULL, raw BLOB NULL, UNIQUE KEY by_attempt (message_id, attempt),
    CONSTRAINT of_message FOREIGN KEY (message_id) REFERENCES messages (id)`,

  senders: `id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, tenant_id VARCHAR(64) NOT NULL, label VARCHAR(60) NOT NULL, number VARCHAR(20) NULL,
    KEY by_tenant (tenant_id, id), UNIQUE KEY by_number (number)`,
};

export const createTable = (name: string): string =>
  `CREATE TABLE IF NOT EXISTS \`${name}\` (${TABLES[name]!}) ${OPTIONS}`;

/** Customers and senders of each tenant, asked of the source before the load begins. */
import { createConnection } from 'mysql2/promise';

import type { Parties } from './load.ts';

const CUSTOMERS = 200;
const SENDERS = 16;

export async function readParties(
  url: string,
  schema: string,
  tenants: readonly string[],
): Promise<Record<string, Parties>> {
  const address = new URL(url);
  address.pathname = `/${schema}`;
  const connection = await createConnection({
    uri: address.href,
    supportBigNumbers: true,
    bigNumberStrings: true,
  });
  const rows = async (sql: string, tenant: string): Promise<Record<string, string | null>[]> => {
    const [found] = await connection.query(sql, [tenant]);
    return found as Record<string, string | null>[];
  };
  try {
    const parties: Record<string, Parties> = {};
    for (const tenant of tenants) {
      const customers = await rows(
        `SELECT id FROM customers WHERE tenant_id = ? ORDER BY id LIMIT ${CUSTOMERS}`,
        tenant,
      );
      const senders = await rows(
        `SELECT id, number FROM senders WHERE tenant_id = ? ORDER BY id LIMIT ${SENDERS}`,
        tenant,
      );
      parties[tenant] = {
        customers: customers.map(({ id }) => String(id)),
        senders: senders.map(({ id, number }) => ({ id: String(id), number: number ?? null })),
      };
    }
    return parties;
  } finally {
    await connection.end();
  }
}

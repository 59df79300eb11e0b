/** Changes one row of the target behind everybody's back. */
import { createConnection } from 'mysql2/promise';

export async function corruptRow(targetUrl: string, tenant: string): Promise<void> {
  const connection = await createConnection({ uri: targetUrl });
  try {
    // A row that no lane writes: the oldest messages belong to the seed.
    await connection.query(
      "UPDATE messages SET body = CONCAT('corrupted: ', LEFT(body, 20)) WHERE tenant_id = ? ORDER BY id LIMIT 1",
      [tenant],
    );
  } finally {
    await connection.end();
  }
}

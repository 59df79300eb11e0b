/**
 * What the portal does with its tables. It knows nothing of a migration: it reads and writes through the
 * router, by the tenant that the request names, and in SQL of its own.
 */
import type { Connection, ResultSetHeader, RowDataPacket } from 'mysql2/promise';

import type { ReadBuffer, Router, WriteFunction } from '../../src/app/index.ts';
import { NotFound, Refused } from './problems.ts';

const LATEST_MAX = 100;
/** Whoever writes past the portal is seen within it, or at once when the journal tells of it. */
const STATUS_TTL_MS = 5_000;
const STATUS_STALE_MS = 30_000;
const STATUSES = ['queued', 'sent', 'delivered', 'failed'] as const;
type Status = (typeof STATUSES)[number];

export interface NewMessage {
  readonly customerId: string;
  readonly body: string;
  readonly price: string;
}

type Row = Record<string, unknown>;
type Rows<T = Row> = (T & RowDataPacket)[];

export class Portal {
  readonly #router: Router;
  readonly #messages: ReadBuffer<{ tenant: string; id: string }, Row>;

  constructor(router: Router) {
    this.#router = router;
    this.#messages = router.buffer<{ tenant: string; id: string }, Row>('message', {
      ttl: STATUS_TTL_MS,
      staleFor: STATUS_STALE_MS,
      key: ({ id }) => id,
      async load(conn, { tenant, id }) {
        const [[message]] = await conn.query<Rows>(
          `SELECT m.*, c.name AS customer, n.name AS country FROM messages m JOIN customers c ON c.id = m.customer_id
           LEFT JOIN countries n ON n.code = c.country WHERE m.id = ? AND m.tenant_id = ?`,
          [id, tenant],
        );
        return message === undefined ? null : { ...message, deliveries: await deliveries(conn, id) };
      },
    });
  }

  /** A message is paid for when it is taken: both or neither. */
  send(tenant: string, message: NewMessage): Promise<Row> {
    const { customerId, body, price } = message;
    return this.#write(tenant, async (conn) => {
      const [paid] = await conn.execute<ResultSetHeader>(
        'UPDATE customers SET balance = balance - ? WHERE id = ? AND tenant_id = ?',
        [price, customerId, tenant],
      );
      if (paid.affectedRows === 0) throw new NotFound('customer');
      const [{ insertId }] = await conn.execute<ResultSetHeader>(
        `INSERT INTO messages (tenant_id, customer_id, body, price, meta, created_at) VALUES (?, ?, ?, ?, JSON_OBJECT('via', 'portal'), UTC_TIMESTAMP(6))`,
        [tenant, customerId, body, price],
      );
      return { id: String(insertId), status: 'queued' };
    });
  }

  /** The gateway's callback: the message's status, and one more delivery. */
  report(tenant: string, id: string, { status, raw }: { status: string; raw: Buffer | null }): Promise<Row> {
    if (!isStatus(status)) throw new Refused(`status is none of ${STATUSES.join(', ')}`);
    return this.#write(tenant, async (conn) => {
      const [changed] = await conn.execute<ResultSetHeader>(
        'UPDATE messages SET status = ? WHERE id = ? AND tenant_id = ?',
        [status, id, tenant],
      );
      if (changed.affectedRows === 0) throw new NotFound('message');
      const [[last]] = await conn.query<Rows<{ attempt: string | null }>>(
        'SELECT MAX(attempt) AS attempt FROM deliveries WHERE message_id = ?',
        [id],
      );
      const attempt = Number(last?.attempt ?? 0) + 1;
      const [{ insertId }] = await conn.execute<ResultSetHeader>(
        'INSERT INTO deliveries (message_id, attempt, status, at, raw) VALUES (?, ?, ?, NOW(6), ?)',
        [id, attempt, status === 'queued' || status === 'sent' ? 'accepted' : status, raw],
      );
      return { id, status, deliveryId: String(insertId), attempt };
    });
  }

  remove(tenant: string, id: string): Promise<Row> {
    return this.#write(tenant, async (conn) => {
      const [[message]] = await conn.query<Rows>(
        'SELECT id FROM messages WHERE id = ? AND tenant_id = ? FOR UPDATE',
        [id, tenant],
      );
      if (message === undefined) throw new NotFound('message');
      await conn.execute('DELETE FROM deliveries WHERE message_id = ?', [id]);
      await conn.execute('DELETE FROM messages WHERE id = ?', [id]);
      return { id, removed: true };
    });
  }

  /** Two senders change numbers; a number is unique at every moment. */
  swap(tenant: string, ids: readonly [string, string]): Promise<Row[]> {
    return againOnDeadlock(() => this.#swapOnce(tenant, ids));
  }

  #swapOnce(tenant: string, ids: readonly [string, string]): Promise<Row[]> {
    return this.#write(tenant, async (conn) => {
      const [rows] = await conn.query<Rows<{ id: number; number: string | null }>>(
        'SELECT id, number FROM senders WHERE id IN (?, ?) AND tenant_id = ? ORDER BY id FOR UPDATE',
        [...ids, tenant],
      );
      const [one, other] = rows;
      if (one === undefined || other === undefined) throw new NotFound('sender');
      await conn.execute('UPDATE senders SET number = NULL WHERE id = ?', [one.id]);
      await conn.execute('UPDATE senders SET number = ? WHERE id = ?', [one.number, other.id]);
      await conn.execute('UPDATE senders SET number = ? WHERE id = ?', [other.number, one.id]);
      return [
        { id: String(one.id), number: other.number },
        { id: String(other.id), number: one.number },
      ];
    });
  }

  /** The drill's probe (docs/drill.md): reads as the pages do, and sends a message that costs nothing. */
  async drill(tenant: string, drill: string): Promise<Row> {
    const [latest, senders] = await Promise.all([this.latest(tenant, 5), this.senders(tenant)]);
    const customerId = latest[0]?.['customer_id'] as number | undefined;
    if (customerId === undefined) throw new NotFound('customer with a message');
    const { id } = await this.send(tenant, {
      customerId: String(customerId),
      body: `drill ${drill}`,
      price: '0',
    });
    const [sent] = await this.latest(tenant, 1);
    return {
      reads: latest.length + senders.length + (sent === undefined ? 0 : 1),
      canaries: [{ table: 'messages', key: { id } }],
    };
  }

  /** Whoever reads it next does so through this process, which sees its own writes: no token is kept. */
  async #write<T>(tenant: string, fn: WriteFunction<T>): Promise<T> {
    const { value } = await this.#router.tenant(tenant).write(fn);
    return value;
  }

  /** The status page, that customers load again and again: the buffer answers most of it. */
  async message(tenant: string, id: string): Promise<Row> {
    const message = await this.#messages.get(tenant, { tenant, id });
    if (message === null) throw new NotFound('message');
    return message;
  }

  latest(tenant: string, count: number): Promise<Row[]> {
    const limit = Math.max(1, Math.min(Math.floor(count) || 1, LATEST_MAX));
    return this.#router.tenant(tenant).read('latest', async (conn) => {
      const [rows] = await conn.query<Rows>(
        `SELECT id, customer_id, body, status, price, created_at FROM messages WHERE tenant_id = ? ORDER BY created_at DESC, id DESC LIMIT ${limit}`,
        [tenant],
      );
      return rows;
    });
  }

  senders(tenant: string): Promise<Row[]> {
    return this.#router.tenant(tenant).read('senders', async (conn) => {
      const [rows] = await conn.query<Rows>(
        'SELECT id, label, number FROM senders WHERE tenant_id = ? ORDER BY id',
        [tenant],
      );
      return rows;
    });
  }
}

const deliveries = async (conn: Connection, message: string): Promise<Row[]> => {
  const [rows] = await conn.query<Rows<{ raw: Buffer | null }>>(
    'SELECT id, attempt, status, at, raw FROM deliveries WHERE message_id = ? ORDER BY attempt',
    [message],
  );
  return rows.map((row) => ({ ...row, raw: row.raw?.toString('hex') ?? null }));
};

const DEADLOCK = 1213;
const ATTEMPTS = 5;

/** Two swaps of neighbours in one unique index can meet head on; InnoDB asks the victim to try again. */
async function againOnDeadlock<T>(write: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await write();
    } catch (error) {
      if ((error as { errno?: number }).errno !== DEADLOCK || attempt === ATTEMPTS) throw error;
    }
  }
}

const isStatus = (word: string): word is Status => (STATUSES as readonly string[]).includes(word);

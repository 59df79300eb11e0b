/** The values of promises, like the tuple that they are. */
type Values<T extends readonly unknown[]> = { -readonly [Index in keyof T]: Awaited<T[Index]> };

/**
 * As `Promise.all`, but it waits for all of them before it throws: what still runs when a transaction is rolled
 * back would be sent after that, and take effect outside of it.
 */
export async function together<const T extends readonly unknown[]>(...work: T): Promise<Values<T>> {
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason;
  return Promise.all(work) as Promise<Values<T>>;
}

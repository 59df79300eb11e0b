/** The servers that every other test relies on are real and answer. */
import { Connection } from '@temporalio/client';
import { Redis } from 'ioredis';
import { createConnection } from 'mysql2/promise';
import { expect, test } from 'vitest';
import { SEARCH_ATTRIBUTES, RETENTION_HOURS } from '../../src/stack/search-attributes.ts';
import { stackInfo } from '../support/stack.ts';

async function identity(url: string): Promise<{ version: string; uuid: string }> {
  const connection = await createConnection(url);
  try {
    const [rows] = await connection.query('SELECT VERSION() AS version, @@server_uuid AS uuid');
    return (rows as [{ version: string; uuid: string }])[0];
  } finally {
    await connection.end();
  }
}

test('source and target are two MySQL servers of version 8 or later', async () => {
  const { sourceUrl, targetUrl } = stackInfo();

  const source = await identity(sourceUrl);
  const target = await identity(targetUrl);

  expect(Number.parseInt(source.version, 10)).toBeGreaterThanOrEqual(8);
  expect(source.version).not.toMatch(/mariadb/i);
  expect(source.uuid).not.toBe(target.uuid);
});

test('Redis answers', async () => {
  const redis = new Redis(stackInfo().redisUrl);

  await expect(redis.ping()).resolves.toBe('PONG');

  redis.disconnect();
});

test('Temporal has the search attributes and keeps histories for 90 days', async () => {
  const connection = await Connection.connect({ address: stackInfo().temporalAddress });

  const attributes = await connection.operatorService.listSearchAttributes({ namespace: 'default' });
  const namespace = await connection.workflowService.describeNamespace({ namespace: 'default' });

  expect(Object.keys(attributes.customAttributes ?? {})).toEqual(
    expect.arrayContaining(Object.keys(SEARCH_ATTRIBUTES)),
  );
  const seconds = Number(namespace.config?.workflowExecutionRetentionTtl?.seconds);
  expect(seconds).toBeGreaterThanOrEqual(RETENTION_HOURS * 3600);
  await connection.close();
});

test('the operators console answers', async () => {
  const page = await fetch(stackInfo().uiUrl);

  expect(page.status).toBe(200);
});

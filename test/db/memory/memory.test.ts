/** Memory is constant: it depends neither on how many rows a table has nor on what one weighs. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { beforeAll, expect, it } from 'vitest';

import { column, useFixture } from '../../support/pair.ts';
import { stackInfo } from '../../support/stack.ts';

const fixture = useFixture([
  'CREATE TABLE large (id INT AUTO_INCREMENT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, body LONGBLOB NULL, KEY (tenant_id, id))',
  'CREATE TABLE many (id INT AUTO_INCREMENT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, text VARCHAR(300) NOT NULL, KEY (tenant_id, id))',
]);

const MIB_MAX = 150;
const MOVER = fileURLToPath(new URL('mover.ts', import.meta.url));

async function move(table: string): Promise<Record<string, number>> {
  const { pair } = fixture();
  const { sourceUrl, targetUrl } = stackInfo();
  const given = { sourceUrl, targetUrl, control: pair.control, schema: pair.sourceSchema, table };
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--import',
    'tsx',
    MOVER,
    JSON.stringify(given),
  ]);
  console.log(table, stdout.trim());
  return JSON.parse(stdout) as Record<string, number>;
}

const FILL = 300_000;

beforeAll(async () => {
  const { sql, install, start } = fixture();
  // Before the triggers stand: three hundred thousand journal rows are another test.
  await sql(
    'source',
    "INSERT INTO many (tenant_id, text) VALUES ('many', REPEAT('x', 250)), ('many', REPEAT('é', 120))",
  );
  for (let rows = 2; rows < FILL; rows *= 2)
    await sql(
      'source',
      `INSERT INTO many (tenant_id, text) SELECT tenant_id, text FROM many LIMIT ${FILL - rows}`,
    );
  await install({ large: column(), many: column() });
  for (const tenant of ['large', 'many']) await start(tenant);
  for (let id = 0; id < 12; id += 1)
    await sql(
      'source',
      "INSERT INTO large (tenant_id, body) VALUES ('large', REPEAT(RANDOM_BYTES(1000), 16777))",
    );
  await sql('source', "UPDATE many SET text = REPEAT('y', 200) WHERE id <= 2000");
}, 120_000);

it.each(['large', 'many'])(
  '%s rows are mirrored, copied and compared within 150 MiB',
  async (table) => {
    const grown = await move(table);
    expect(Object.keys(grown)).toEqual(['mirror', 'copy', 'reconcile']);
    expect(Math.max(...Object.values(grown)), JSON.stringify(grown)).toBeLessThan(MIB_MAX);
  },
  120_000,
);

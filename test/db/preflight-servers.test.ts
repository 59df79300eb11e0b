/** Preflight of servers that are away, refuse the user, grant too little, or are one and the same. */
import { describe, expect, test } from 'vitest';

import { Database } from '../../src/db/database.ts';
import { preflight } from '../../src/db/preflight.ts';
import { hasOnSchema, parseGrants } from '../../src/db/preflight/grants.ts';
import { formatProblem } from '../../src/domain/errors.ts';
import { stackInfo } from '../support/stack.ts';
import {
  SCHEMA,
  CONTROL,
  PASSWORD,
  user,
  source,
  target,
  onSource,
  onBoth,
  plan,
  brief,
  remedies,
  CUSTOMERS,
  create,
  WHOLE,
  one,
} from './preflight-lab.ts';

describe('servers', () => {
  test('that cannot be reached are named with host and port, both at once, and without the password', async () => {
    const lost = (side: 'source' | 'target', port: number) =>
      new Database({ side, url: `mysql://someone:${PASSWORD}@127.0.0.1:${port}` });
    const [a, b] = [lost('source', 1), lost('target', 2)];

    const problems = await preflight(plan(WHOLE), { source: a, target: b });
    await Promise.all([a.close(), b.close()]);

    expect(brief(problems).toSorted()).toEqual([
      'source | 127.0.0.1:1 | cannot be used: source: cannot be reached (ECONNREFUSED); is the server up?',
      'target | 127.0.0.1:2 | cannot be used: target: cannot be reached (ECONNREFUSED); is the server up?',
    ]);
    expect(JSON.stringify(problems)).not.toContain(PASSWORD);
  });

  test('that refuse the user do not hide what is wrong on the other side', async () => {
    await onSource(create('keyless (id INT)'));
    const wrong = new URL(stackInfo().targetUrl);
    wrong.password = PASSWORD;
    const refused = new Database({ side: 'target', url: wrong.href });

    const problems = await preflight(plan('{ keyless: { tenant: shared } }'), { source, target: refused });
    await refused.close();

    expect(problems.map(({ field }) => field)).toEqual(['target', 'tables.keyless']);
    expect(problems[0]!.problem).toContain('Access denied');
    expect(JSON.stringify(problems)).not.toContain(PASSWORD);
  });

  test('that are one and the same are noticed', async () => {
    await onBoth(create(CUSTOMERS));
    const same = new Database({ side: 'target', url: stackInfo().sourceUrl });

    const problems = await preflight(plan(one('customers')), { source, target: same });
    await same.close();

    expect(brief(problems)).toEqual([
      `target | ${same.address} | is the same server and schema as the source`,
    ]);
  });

  test('tell which grants are missing, and are content with exactly those', async () => {
    await onBoth(create(CUSTOMERS));
    const account = `'${user('few')}'@'%'`;
    await onSource(
      `CREATE USER ${account} IDENTIFIED BY '${PASSWORD}'`,
      `GRANT SELECT ON \`${SCHEMA}\`.\`customers\` TO ${account}`,
    );
    const url = new URL(stackInfo().sourceUrl);
    [url.username, url.password] = [user('few'), PASSWORD];
    const few = new Database({ side: 'source', url: url.href });

    const problems = await preflight(plan(one('customers')), { source: few, target });
    const grants = remedies(problems).filter((remedy) => remedy.startsWith('GRANT'));
    await onSource(...grants, `GRANT SUPER ON *.* TO ${account}`);
    await few.close();
    const enough = new Database({ side: 'source', url: url.href });
    const after = await preflight(plan(one('customers')), { source: enough, target });
    await enough.close();

    expect(brief(problems)).toEqual([
      'source.log_bin_trust_function_creators | OFF | lets only a user with SUPER create triggers while the binary log is on',
      `source.urlEnv | ${account} | lacks TRIGGER on ${SCHEMA}`,
      `source.urlEnv | ${account} | lacks SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX on ${CONTROL}`,
      `source.urlEnv | ${account} | lacks PROCESS, XA_RECOVER_ADMIN on the server`,
    ]);
    expect(after.map(formatProblem)).toEqual([]);
  });
});

describe('grants', () => {
  // prettier-ignore
  test.each([
    ['on everything', ["GRANT ALL PRIVILEGES ON *.* TO `a`@`%`"], true],
    ['on the schema', ["GRANT SELECT, TRIGGER ON `shop`.* TO `a`@`%`"], true],
    ['on a pattern', ["GRANT SELECT ON `sh%`.* TO `a`@`%`"], true],
    ['on a schema with an escaped underscore', ["GRANT SELECT ON `sh\\_p`.* TO `a`@`%`"], false],
    ['on every table', ["GRANT SELECT ON `shop`.`a` TO `a`@`%`", "GRANT SELECT ON `shop`.`b` TO `a`@`%`"], true],
    ['on one table', ["GRANT SELECT ON `shop`.`a` TO `a`@`%`"], false],
    ['on a column', ["GRANT SELECT (`x`, `y`), INSERT (`x`) ON `shop`.`a` TO `a`@`%`", "GRANT SELECT (`x`) ON `shop`.`b` TO `a`@`%`"], false],
    ['on everything but this schema', ["GRANT SELECT ON *.* TO `a`@`%`", "REVOKE SELECT ON `shop`.* FROM `a`@`%`"], false],
    ['on another schema', ["GRANT SELECT ON `shopping`.* TO `a`@`%`"], false],
    ['of a role that is not in force', ["GRANT USAGE ON *.* TO `a`@`%`", "GRANT `reader`@`%` TO `a`@`%`"], false],
    ['in the quotes of MariaDB', ["GRANT SELECT ON `shop`.* TO 'a'@'%' IDENTIFIED BY PASSWORD '*AB'"], true],
  ])('%s are read', (_, lines, expected) => {
    expect(hasOnSchema(parseGrants(lines), 'SELECT', 'shop', ['a', 'b'])).toBe(expected);
  });
});

/** Mutants of the application library: reads that go back in time, requests that wait for the target or for Redis. */
import type { Mutant } from './mutant.ts';

// prettier-ignore
export const APPLICATION: readonly Mutant[] = [
  {
    name: 'a dirty tenant is read from the target',
    file: 'src/app/reads.ts', find: "if (flag.dirty) return { side: 'source', insteadOfTarget: 'dirty' };", put: '',
    test: 'test/app/reads.test.ts', title: 'reads a dirty tenant from the source',
  },
  {
    name: 'a write over its budget is read from the target',
    file: 'src/app/reads.ts', find: "if (this.#parts.mirror().isLagging(tenant)) return { side: 'source', insteadOfTarget: 'lagging' };", put: '',
    test: 'test/app/reads.test.ts', title: 'shows a write over its mirror budget to the next read, from the source',
  },
  {
    name: 'what this process read on the source does not bind its next read',
    file: 'src/app/caught-up.ts', find: 'line === undefined ? this.#hasForgotten : line.covered < line.seen', put: 'false',
    test: 'test/app/reads.test.ts', title: 'does not go back behind what it read before the flip',
  },
  {
    name: 'a read inside a write has a connection of its own',
    file: 'src/app/reads.ts', find: '    if (outer !== null) {\n', put: '    if (outer !== null && Boolean(0)) {\n',
    test: 'test/app/reads.test.ts', title: 'lets a read inside a write join its transaction',
  },
  {
    name: 'a slow Redis is waited for',
    file: 'src/app/buffer-redis.ts', find: '      commandTimeout: answerMs,\n', put: '',
    test: 'test/app/bounds.test.ts', title: 'makes no request slower, and no flip is missed (buffers: true)',
  },
  {
    name: 'a Redis that fails is asked again and again',
    file: 'src/app/buffer-redis.ts', find: 'const FAILURES = 3;', put: 'const FAILURES = 1_000_000;',
    test: 'test/app/buffer.test.ts', title: 'frozen: passed by, at once after three commands',
  },
  {
    name: 'a value counts after its tenant was written',
    file: 'src/app/buffer-redis.ts', find: 'return value.startsWith(version) ? value.slice(version.length) : null;', put: 'return value.slice(version.length);',
    test: 'test/app/buffer.test.ts', title: 'forgets what a write of another process changed before that write returns',
  },
  {
    name: 'shadow reads wait without a bound',
    file: 'src/app/shadow.ts', find: 'this.#reads = bulkhead(this.#slots, QUEUE);', put: 'this.#reads = bulkhead(this.#slots, 1_000_000);',
    test: 'test/app/shadow.test.ts', title: 'drops what does not fit its queue, and says so',
  },
];

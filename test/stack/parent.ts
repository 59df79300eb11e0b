/** A program that starts servers, tells where they are and then does nothing: for tests that kill it. */
import { startStack } from '../../src/stack/start.ts';

const stack = await startStack({ only: ['redis', 'target'], isPrivate: true });
console.log(JSON.stringify(stack.owned()));
setInterval(() => {}, 60_000);

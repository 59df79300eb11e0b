/**
 * Loaded into every process of a bench: what it imports of the product is what `npm run build` made of it, as a service
 * runs it. tsx wraps each function so that it keeps its name, which every call pays for.
 */
import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const PRODUCT = /^\.\.\/(src\/(?:app|db|domain)\/.+)\.ts$/;
const BENCH = /\/bench\/[^/]+\.ts(?:\?|$)/;

if (isMainThread) register(import.meta.url);

export function resolve(specifier, context, next) {
  const found = BENCH.test(context.parentURL ?? '') ? PRODUCT.exec(specifier) : null;
  if (found === null) return next(specifier, context);
  return next(new URL(`../dist/${found[1]}.js`, context.parentURL).href, context);
}

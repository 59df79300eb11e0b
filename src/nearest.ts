/** Kept where the command looks for it. */
export { nearest, oneOf } from './domain/nearest.ts';

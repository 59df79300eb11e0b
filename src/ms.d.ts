// The SDK's Duration type imports `ms`, whose export map carries no types: without this, every
// duration string type-checks. Source: research/temporal.md, section 0, finding 2.
declare module 'ms' {
  type Unit = 'ms' | 's' | 'm' | 'h' | 'd' | ' seconds' | ' minutes' | ' hours' | ' days';
  export type StringValue = `${number}${Unit}`;
}

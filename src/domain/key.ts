/**
 * Typed keys: one row's primary key as the journal stores it.
 *
 * Each column is rendered by its type (binary and text as hex of their bytes, TIMESTAMP as UTC
 * seconds, BIT as a number), and written length-prefixed, so that no two keys share a text and the
 * text holds ASCII only: `2:42` or `2:42` + `8:61626364`.
 */
export function encodeKey(parts: readonly string[]): string {
  return parts.map((part) => `${part.length}:${part}`).join('');
}

/** @throws Error when the text is not a key: the journal was written by something else. */
export function decodeKey(key: string): string[] {
  const parts: string[] = [];
  let position = 0;
  while (position < key.length) {
    const colon = key.indexOf(':', position);
    const length = Number(key.slice(position, colon));
    const end = colon + 1 + length;
    if (colon < 0 || !Number.isInteger(length) || end > key.length) throw new Error('malformed journal key');
    parts.push(key.slice(colon + 1, end));
    position = end;
  }
  return parts;
}

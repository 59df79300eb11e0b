/**
 * One JSON value as bytes that are equal where MySQL holds equal values, whatever the text looked like.
 *
 * `JSON.parse` rounds big integers and can't say 1 from 1.0, so this reads the text itself, the way MySQL does:
 * an integer without fraction or exponent that fits 64 bits is exact, any other number is a double; of equal
 * keys the last one wins; the order of keys says nothing. Every part begins with its type and ends by itself, so
 * two values never share their bytes.
 */
const BLANK = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?/y;
const STRING = /"(?:[^"\\]|\\.)*"/y;
const WORDS = { true: 't', false: 'f', null: 'n' } as const;
const [INT64_MIN, UINT64_MAX] = [-(2n ** 63n), 2n ** 64n - 1n];

class NotJson extends Error {
  constructor(at: number) {
    super(`no JSON at character ${at}`);
  }
}

/** @throws when the text is not one JSON value */
export function canonicalJson(text: string): Buffer {
  const parts: Buffer[] = [];
  const end = value(text, skip(text, 0), parts);
  if (skip(text, end) !== text.length) throw new NotJson(end);
  return Buffer.concat(parts);
}

function skip(text: string, at: number): number {
  BLANK.lastIndex = at;
  BLANK.test(text);
  return BLANK.lastIndex;
}

function match(pattern: RegExp, text: string, at: number): RegExpExecArray {
  pattern.lastIndex = at;
  const found = pattern.exec(text);
  if (found === null) throw new NotJson(at);
  return found;
}

/** @returns where the value ends */
function value(text: string, at: number, parts: Buffer[]): number {
  const first = text[at];
  if (first === '{') return object(text, at, parts);
  if (first === '[') return array(text, at, parts);
  if (first === '"') return string(text, at, parts);
  const word = Object.keys(WORDS).find((name) => text.startsWith(name, at)) as keyof typeof WORDS | undefined;
  if (word !== undefined) {
    parts.push(Buffer.from(WORDS[word]));
    return at + word.length;
  }
  return number(text, at, parts);
}

function number(text: string, at: number, parts: Buffer[]): number {
  const [digits, fraction, exponent] = match(NUMBER, text, at);
  const integer = fraction === undefined && exponent === undefined ? BigInt(digits) : null;
  if (integer !== null && integer >= INT64_MIN && integer <= UINT64_MAX) {
    parts.push(Buffer.from(`i${integer};`));
  } else {
    const double = Buffer.allocUnsafe(9);
    double[0] = 0x64;
    double.writeDoubleBE(Number(digits), 1);
    parts.push(double);
  }
  return at + digits.length;
}

function string(text: string, at: number, parts: Buffer[]): number {
  const [quoted] = match(STRING, text, at);
  const bytes = Buffer.from(JSON.parse(quoted) as string, 'utf8');
  parts.push(Buffer.from(`s${bytes.length}:`), bytes);
  return at + quoted.length;
}

function array(text: string, start: number, parts: Buffer[]): number {
  parts.push(Buffer.from('['));
  let at = skip(text, start + 1);
  while (text[at] !== ']') {
    at = next(text, skip(text, value(text, at, parts)), ']');
  }
  parts.push(Buffer.from(']'));
  return at + 1;
}

function object(text: string, start: number, parts: Buffer[]): number {
  const members = new Map<string, Buffer>();
  let at = skip(text, start + 1);
  while (text[at] !== '}') {
    const key: Buffer[] = [];
    const colon = skip(text, string(text, at, key));
    if (text[colon] !== ':') throw new NotJson(colon);
    const member: Buffer[] = [];
    const end = value(text, skip(text, colon + 1), member);
    members.set(Buffer.concat(key).toString('latin1'), Buffer.concat(member));
    at = next(text, skip(text, end), '}');
  }
  parts.push(Buffer.from('{'));
  for (const key of [...members.keys()].sort()) parts.push(Buffer.from(key, 'latin1'), members.get(key)!);
  parts.push(Buffer.from('}'));
  return at + 1;
}

/** After a member: the closing bracket, or a comma and the beginning of the next member. */
function next(text: string, at: number, close: string): number {
  if (text[at] === close) return at;
  if (text[at] !== ',') throw new NotJson(at);
  const following = skip(text, at + 1);
  if (text[following] === close) throw new NotJson(following);
  return following;
}

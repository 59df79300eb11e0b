/**
 * JSON text in one form, whichever server printed it: members sorted, the last of a repeated member kept,
 * strings unescaped, numbers as JSON columns hold them: a 64-bit integer, or else a double.
 */
const TOKEN = /\s*("(?:[^"\\]|\\.)*"|[{}[\],:]|-?\d[\d.eE+-]*|true|false|null)\s*/y;

const INTEGER_MIN = -(2n ** 63n);
const INTEGER_MAX = 2n ** 64n - 1n;

/** Text that is no JSON is taken as it stands. */
export function canonicalJson(value: Buffer): string {
  const text = value.toString('utf8');
  try {
    return new Reader(text).document();
  } catch (error) {
    if (error instanceof NotJson) return `?${text}`;
    throw error;
  }
}

class NotJson extends Error {}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): string {
    const value = this.#value(this.#next());
    if (this.#at < this.#text.length) throw new NotJson();
    return value;
  }

  #next(): string {
    TOKEN.lastIndex = this.#at;
    const token = TOKEN.exec(this.#text)?.[1];
    if (token === undefined) throw new NotJson();
    this.#at = TOKEN.lastIndex;
    return token;
  }

  #value(token: string): string {
    if (token === '{') return this.#object();
    if (token === '[') return this.#array();
    if (token.startsWith('"')) return stringForm(token);
    if (/^[-\d]/.test(token)) return numberForm(token);
    if (/^[tfn]/.test(token)) return token;
    throw new NotJson();
  }

  #object(): string {
    const members = new Map<string, string>();
    let token = this.#next();
    while (token !== '}') {
      if (!token.startsWith('"') || this.#next() !== ':') throw new NotJson();
      members.set(stringForm(token), this.#value(this.#next()));
      token = this.#next();
      if (token === ',') token = this.#next();
      else if (token !== '}') throw new NotJson();
    }
    const sorted = [...members].sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${sorted.map(([name, value]) => `${name}:${value}`).join(',')}}`;
  }

  #array(): string {
    const items: string[] = [];
    let token = this.#next();
    while (token !== ']') {
      items.push(this.#value(token));
      token = this.#next();
      if (token === ',') token = this.#next();
      else if (token !== ']') throw new NotJson();
    }
    return `[${items.join(',')}]`;
  }
}

function stringForm(token: string): string {
  try {
    return JSON.stringify(JSON.parse(token));
  } catch {
    throw new NotJson();
  }
}

function numberForm(token: string): string {
  if (/^-?\d+$/.test(token)) {
    const whole = BigInt(token);
    if (whole >= INTEGER_MIN && whole <= INTEGER_MAX) return String(whole);
  }
  const number = Number(token);
  if (Number.isNaN(number)) throw new NotJson();
  return `${number}e`;
}

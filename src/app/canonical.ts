/**
 * One text per answer, the same for the same rows: names in order, bytes as hex, numbers as text. Servers of
 * two vendors differ in how they hand out a number or a JSON document, not in what it says.
 */
export const canonical = (value: unknown): string => JSON.stringify(normal(value)) ?? 'undefined';

/** Of a pair as the driver answers, `[rows, fields]`, only the rows count: fields name the server's own types. */
function areFields(part: unknown): boolean {
  if (!Array.isArray(part)) return false;
  // Those of a procedure's answers are one list for each.
  const [first] = part as unknown[];
  if (Array.isArray(first)) return areFields(first);
  return typeof first === 'object' && first !== null && 'orgTable' in first && 'characterSet' in first;
}

function normal(value: unknown): unknown {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (typeof value === 'string') return parsedDocument(value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') };
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Map) return { entries: [...value].map(normal) };
  if (value instanceof Set) return { members: [...value].map(normal) };
  if (Array.isArray(value))
    return value.length === 2 && areFields(value[1]) ? normal(value[0]) : value.map(normal);
  const fields = value as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    Object.keys(fields)
      .sort()
      .map((name) => [name, normal(fields[name])]),
  );
}

/** MariaDB hands out JSON as text. A number that JavaScript would round keeps its text. */
function parsedDocument(text: string): unknown {
  if (!/^[[{]/.test(text) || /\d{16}/.test(text)) return text;
  try {
    return normal(JSON.parse(text));
  } catch {
    return text; // looks like a document and is none
  }
}

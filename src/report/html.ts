/**
 * HTML as a tagged template: whatever is put in is text, and is escaped. Names and reasons come from people, so nothing
 * but what this module made gets onto a page as it stands.
 */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type Part = Html | string | number | readonly Part[];

export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(
    strings.map((text, place) => (place === 0 ? text : `${rendered(parts[place - 1]!)}${text}`)).join(''),
  );
}

const rendered = (part: Part): string => {
  if (part instanceof Html) return part.text;
  return typeof part === 'string' || typeof part === 'number'
    ? escaped(String(part))
    : part.map(rendered).join('');
};

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

const BREAKS = /[\n\r\t\p{Zl}\p{Zp}]+/gu;
/** Control characters, and marks that turn the direction of what follows. */
const INVISIBLE = /[\p{Cc}\p{Cs}\u061C\u200B\u200E\u200F\u202A-\u202E\u2066-\u2069\uFEFF]/gu;

/** On one line, with nothing in it that would change how the rest of the line reads. */
export const visible = (text: string): string =>
  text
    .replaceAll(BREAKS, ' ')
    .replaceAll(INVISIBLE, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);

const escaped = (text: string): string =>
  visible(text).replaceAll(/[&<>"']/g, (character) => ENTITIES[character]!);

/** A name that somebody chose: its direction of writing is its own. */
export const named = (text: string): Html => html`<bdi>${text}</bdi>`;

export interface TableOptions {
  /** What the table shows, for whoever hears it. */
  readonly caption: string;
  readonly heads: readonly string[];
  readonly rows: readonly (readonly Part[])[];
  /** Columns of numbers, by their place. */
  readonly numbers?: readonly number[];
  /** Said instead of an empty table. */
  readonly otherwise?: string;
}

/** The first cell of a row is its header. Wide tables scroll by themselves, also with the keyboard. */
export function table({ caption, heads, rows, numbers = [], otherwise = 'None.' }: TableOptions): Html {
  if (rows.length === 0) return html`<p class="none">${otherwise}</p>`;
  const kind = (place: number): Html => new Html(numbers.includes(place) ? ' class="number"' : '');
  const cells = (row: readonly Part[]): Html[] =>
    row.map((cell, place) =>
      place === 0 ? html`<th scope="row">${cell}</th>` : html`<td${kind(place)}>${cell}</td>`,
    );
  return html`<div class="wide" role="region" aria-label="${caption}" tabindex="0">
    <table>
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${heads.map((head, place) => html`<th scope="col" ${kind(place)}>${head}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              ${cells(row)}
            </tr> `,
        )}
      </tbody>
    </table>
  </div>`;
}

/** Pairs of a word and what is said of it. */
export const facts = (pairs: readonly (readonly [string, Part])[]): Html =>
  html`<dl>
    ${pairs.map(
      ([word, said]) =>
        html`<div>
          <dt>${word}</dt>
          <dd>${said}</dd>
        </div> `,
    )}
  </dl>`;

export const time = (iso: string): Html =>
  html`<time datetime="${iso}">${iso.slice(0, 19).replace('T', ' ')}</time>`;

export const count = (number: number): string => number.toLocaleString('en-US');

export const NOT_RECORDED = 'not recorded';

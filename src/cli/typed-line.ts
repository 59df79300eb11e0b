/** A command line of bash as far as it is typed: its words, and how a word is put where the last one stands. */

export interface TypedLine {
  readonly words: readonly string[];
  /** What replaces the last word: quoted as bash needs it, without what bash holds for a word of its own. */
  readonly insert: (word: string) => string;
}

export function typedLine(line: string): TypedLine {
  const words = [''];
  let quote = '';
  let inWord = false;
  for (let at = 0; at < line.length; at += 1) {
    const char = line[at]!;
    if (quote === '' && /\s/.test(char)) {
      if (inWord) words.push('');
      inWord = false;
      continue;
    }
    inWord = true;
    if (char === quote) quote = '';
    else if (quote === '' && (char === '"' || char === "'")) quote = char;
    else if (char === '\\' && quote !== "'") words[words.length - 1] += line[(at += 1)] ?? '';
    else words[words.length - 1] += char;
  }
  const typed = words.at(-1)!;
  return {
    words,
    insert: (word) => (quote === '' ? escaped(word.slice(afterBreak(typed))) : word),
  };
}

/** Bash begins a new word after these (COMP_WORDBREAKS), and replaces only that. */
const afterBreak = (typed: string): number => Math.max(typed.lastIndexOf(':'), typed.lastIndexOf('=')) + 1;

const escaped = (word: string): string => word.replaceAll(/[^\p{L}\p{N}_.:@%+,/=-]/gu, String.raw`\$&`);

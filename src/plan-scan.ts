/** What only the text of a plan shows, and its parsed values no longer do: secrets, and ids that YAML would change. */
import { isMap, isScalar, isSeq, visit, type Document } from 'yaml';

import type { Finding } from './plan-rules.ts';

const SECRET_KEY = /^(?:password|passwd|pass|pwd|secret|token|credentials?|api_?key|url|uri|dsn)$/i;
export const URL_WITH_USER = /:\/\/\S*@/;
const SECRET_REMEDY =
  'take it out, change it if the file was shared, and name an environment variable in urlEnv';

export function findSecrets(document: Document): Finding[] {
  const findings: Finding[] = [];
  visit(document, {
    Scalar(key, node, ancestors) {
      if (key === 'key' || typeof node.value !== 'string' || !URL_WITH_USER.test(node.value)) return;
      const path = pathOf([...ancestors, node]);
      findings.push({ path, value: '', problem: 'holds an address with a password', remedy: SECRET_REMEDY });
    },
    Pair(_, { key, value }, ancestors) {
      if (!isScalar(key) || !isScalar(value) || !SECRET_KEY.test(String(key.value))) return;
      const path = [...pathOf([...ancestors, key]), String(key.value)];
      findings.push({ path, value: '', problem: 'looks like a secret', remedy: SECRET_REMEDY });
    },
  });
  return findings;
}

/** `007` and `1e3` are numbers to YAML: the id would not be the text that stands in the file. */
export function quoteNumbers(document: Document): Finding[] {
  const findings: Finding[] = [];
  visit(document, {
    Scalar(_, node, ancestors) {
      if (typeof node.value !== 'number' || String(node.value) === node.source) return;
      const path = pathOf([...ancestors, node]);
      if (path[0] !== 'waves') return;
      findings.push({
        path,
        value: node.source ?? '',
        problem: 'is a number to YAML',
        remedy: 'write it in quotes',
      });
    },
  });
  return findings;
}

function pathOf(nodes: readonly unknown[]): Finding['path'] {
  return nodes.flatMap((node, index): (string | number)[] => {
    const next = nodes[index + 1];
    if (isSeq(node)) return [node.items.indexOf(next)];
    const isPair = typeof node === 'object' && node !== null && 'key' in node && 'value' in node;
    return isPair && !isMap(node) && node.value === next
      ? [String((node.key as { value?: unknown }).value)]
      : [];
  });
}

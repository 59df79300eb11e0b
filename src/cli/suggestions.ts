/** What somebody meant who typed a verb that there is not: a slip, the second word alone, or another tool's word for it. */
import { nearest } from '../domain/nearest.ts';
import { COMMANDS } from './commands.ts';

/** Words of other tools, and the command that does it here. */
// prettier-ignore
const OTHER_WORDS: Readonly<Record<string, string>> = {
  init: 'install', setup: 'install', bootstrap: 'install', up: 'install',
  remove: 'uninstall', teardown: 'uninstall', down: 'uninstall',
  validate: 'plan check', lint: 'plan check', doctor: 'plan check', preflight: 'plan check',
  reload: 'plan apply', update: 'plan apply',
  ls: 'status', get: 'status', ps: 'status', show: 'status', list: 'status', watch: 'status --watch', top: 'status --watch',
  explain: 'why', describe: 'why', blocked: 'why', logs: 'why', gates: 'why',
  diff: 'verify', compare: 'verify', check: 'plan check', vdiff: 'verify',
  stages: 'flags', nodes: 'flags',
  migrate: 'start', begin: 'start', create: 'start', run: 'start', adopt: 'start --adopt',
  stop: 'pause', hold: 'pause', suspend: 'pause',
  continue: 'resume', unpause: 'resume', release: 'resume',
  approve: 'advance', proceed: 'advance', flip: 'advance', switch: 'advance', cutover: 'advance', ramp: 'advance',
  rehearse: 'drill', rehearsal: 'drill',
  revert: 'rollback', undo: 'rollback', back: 'rollback', 'roll-back': 'rollback', 'flip-back': 'rollback',
  fix: 'repair', heal: 'repair', skip: 'waive', override: 'waive',
  pace: 'set-pace', throttle: 'set-pace', limit: 'set-pace', 'rate-limit': 'set-pace',
  cancel: 'abort', kill: 'abort', delete: 'abort', terminate: 'abort',
  serve: 'worker', daemon: 'worker', wave: 'fleet status', waves: 'fleet status', autocomplete: 'completion',
};

const SHOWN = 3;
const names = COMMANDS.flatMap(({ name, alias }) => [name, ...(alias === undefined ? [] : [alias])]);

/** @param group the first word, when the second is what is wrong */
export function suggestions(word: string, group: string | null): string[] {
  if (group !== null) {
    const seconds = names.filter((name) => name.startsWith(`${group} `)).map((name) => name.split(' ')[1]!);
    const near = nearest(word, seconds);
    const other = otherWord(word);
    const same = seconds.find((second) => second === near || second === other);
    if (same !== undefined) return [`${group} ${same}`];
  }
  const first = nearest(word, [...new Set(names.map((name) => name.split(' ')[0]!))]);
  const seconds = names.filter((name) => name.split(' ')[1] === word);
  const firsts = group === null ? (first === null ? [] : [first]) : names.filter((name) => name === word);
  return [...new Set([...[otherWord(word) ?? []].flat(), ...firsts, ...seconds])].slice(0, SHOWN);
}

function otherWord(word: string): string | null {
  const lower = word.toLowerCase();
  return Object.hasOwn(OTHER_WORDS, lower) ? OTHER_WORDS[lower]! : null;
}

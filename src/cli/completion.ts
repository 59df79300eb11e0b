/**
 * `switchback completion SHELL`: a script that asks this very command at every Tab. Written here, since the library
 * for it (@bomb.sh/tab) lets bash expand what a plan calls its tenants: `$(…)` in a name would run.
 */
import type { Handler } from './commands.ts';
import { CliFailure } from './exit.ts';
import { oneLine, quoted } from './terminal.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

const SCRIPTS: Readonly<Record<Shell, (ask: string) => string>> = {
  bash: (ask) => `# completion of switchback for bash: source <(switchback completion bash)
_switchback() {
  local word
  COMPREPLY=()
  while IFS= read -r word; do
    if [[ $word == :files ]]; then compopt -o default; return; fi
    COMPREPLY+=("$word")
  done < <(${ask} bash "\${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
}
complete -F _switchback switchback`,
  zsh: (ask) => `#compdef switchback
# completion of switchback for zsh: source <(switchback completion zsh), after compinit
_switchback() {
  local line word
  local -a lines found
  lines=("\${(@f)$(${ask} zsh "\${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ $lines[1] == :files ]]; then _files; return; fi
  for line in "\${lines[@]}"; do
    [[ -n $line ]] || continue
    word=\${line%%$'\\t'*}
    found+=("\${word//:/\\\\:}:\${line#*$'\\t'}")
  done
  _describe -t words switchback found
}
if [[ $funcstack[1] == _switchback ]]; then _switchback; else compdef _switchback switchback; fi`,
  fish: (ask) => `# completion of switchback for fish: switchback completion fish | source
function __switchback_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l found (${ask} fish $words[2..-1] "$current" 2>/dev/null)
    if test "$found[1]" = ":files"
        __fish_complete_path "$current"
    else
        printf '%s\\n' $found
    end
end
complete -c switchback -f -a '(__switchback_complete)'`,
};

/** As this process was started: it need not be on the PATH, and an alias is no command to a script. */
const itself = (): string => [process.execPath, ...process.execArgv, process.argv[1]!].map(quoted).join(' ');

export const run: Handler = async (context, input) => {
  const shell = SHELLS.find((one) => one === input.word(0));
  if (shell === undefined)
    throw new CliFailure(
      'usage',
      `no completion for ${oneLine(input.word(0) ?? '')}; there is ${SHELLS.join(', ')}`,
    );
  const script = SCRIPTS[shell](`${itself()} complete`);
  return { data: { shell, script }, lines: [script] };
};

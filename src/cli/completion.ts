import { FLAGS } from '../config/flags.ts';
import { suggestion } from '../config/nearest.ts';
import { redact } from '../util/redact.ts';
import { type Call, type Command, type CommandTable, flagsOf, SHELLS } from './command.ts';
import { out, UsageError } from './print.ts';

const SCRIPTS: Readonly<Record<(typeof SHELLS)[number], (commands: CommandTable) => string>> = {
  bash,
  zsh,
  fish,
  powershell,
};

/** `viaduct completion SHELL`: a script, made from the tables that the command line itself is made from. */
export async function run({ operands: [shell = ''] }: Call, commands: CommandTable): Promise<number> {
  const known = SHELLS.find((one) => one === shell);
  if (known === undefined) {
    throw new UsageError(`no completion for ${redact(shell)}${suggestion(shell, SHELLS)}; write ${SHELLS.join(', ')}`);
  }
  out(SCRIPTS[known](commands));
  return 0;
}

interface CompletableFlag {
  readonly name: string;
  readonly short?: string;
  readonly argument?: string;
  readonly summary: string;
  readonly completes?: readonly string[] | 'file';
}

function allFlags(command: Command): readonly CompletableFlag[] {
  return [
    ...flagsOf(command),
    { name: 'help', short: 'h', summary: 'help' },
    { name: 'version', summary: 'the version' },
  ];
}

const dashed = ({ name, short }: CompletableFlag): string[] =>
  short === undefined ? [`--${name}`] : [`-${short}`, `--${name}`];

function bash(commands: CommandTable): string {
  const values = FLAGS.filter(({ argument }) => argument !== undefined).map((flag) => {
    const reply =
      flag.completes === 'file'
        ? 'compgen -f -- "$word"'
        : `compgen -W "${(flag.completes ?? []).join(' ')}" -- "$word"`;
    return `    ${dashed(flag).join('|')}) COMPREPLY=($(${reply})); return ;;`;
  });
  const words = commands.map((command) => {
    const own = command.completes === 'file' ? ' $(compgen -f -- "$word")' : ` ${(command.completes ?? []).join(' ')}`;
    return `    ${command.name}) words="${allFlags(command).flatMap(dashed).join(' ')}${own}" ;;`;
  });
  return `# bash: eval "$(viaduct completion bash)"
_viaduct() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" words
  case "$before" in
${values.join('\n')}
  esac
  case "\${COMP_WORDS[1]}" in
${words.join('\n')}
    *) words="${[...commands.map(({ name }) => name), ...allFlags(commands[0]).flatMap(dashed)].join(' ')}" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _viaduct viaduct`;
}

/** Inside single quotes and between brackets of zsh's _arguments. */
const zshText = (text: string): string => text.replaceAll("'", "'\\''").replace(/[[\]:\\]/g, '\\$&');

function zsh(commands: CommandTable): string {
  const argument = ({ argument: name, completes }: CompletableFlag): string => {
    if (name === undefined) return '';
    const action = completes === 'file' ? '_files' : completes === undefined ? '' : `(${completes.join(' ')})`;
    return `:${zshText(name)}:${action}`;
  };
  const specs = (command: Command) =>
    allFlags(command).flatMap((flag) =>
      dashed(flag).map((word) => `'*${word}[${zshText(flag.summary)}]${argument(flag)}'`),
    );
  // Every word needs a place: one that has none ends all completion.
  const operands = ({ completes }: Command): string[] => {
    const action = completes === 'file' ? '_files' : completes === undefined ? '' : `(${completes.join(' ')})`;
    return ["'1:command:'", `'2:word:${action}'`];
  };
  const cases = commands.map(
    (command) => `    ${command.name}) _arguments ${[...specs(command), ...operands(command)].join(' ')} ;;`,
  );
  const names = commands.map(({ name, summary }) => `'${name}:${zshText(summary)}'`).join(' ');
  return `#compdef viaduct
# zsh: eval "$(viaduct completion zsh)"
_viaduct() {
  local -a commands=(${names})
  case "$words[2]" in
${cases.join('\n')}
    *) _arguments '1:command:{_describe command commands}' ${specs(commands[0]).join(' ')} ;;
  esac
}
compdef _viaduct viaduct`;
}

const fishText = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll("'", "\\'");

function fish(commands: CommandTable): string {
  const names = commands.map(({ name }) => name).join(' ');
  const lines = commands.flatMap((command, at) => {
    const inside = `__fish_seen_subcommand_from ${command.name}`;
    // Without a command the flags are those of the first one.
    const when = at === 0 ? `'not __fish_seen_subcommand_from ${names}; or ${inside}'` : `'${inside}'`;
    const own = command.completes === 'file' ? [`complete -c viaduct -n '${inside}' -F`] : [];
    const listed = Array.isArray(command.completes)
      ? [`complete -c viaduct -n '${inside}' -a '${command.completes.join(' ')}'`]
      : [];
    return [
      `complete -c viaduct -n 'not __fish_seen_subcommand_from ${names}' -a ${command.name} -d '${fishText(command.summary)}'`,
      ...own,
      ...listed,
      ...allFlags(command).map((flag) => fishFlag(flag, when)),
    ];
  });
  return ['# fish: viaduct completion fish | source', 'complete -c viaduct -f', ...lines].join('\n');
}

function fishFlag({ name, short, argument, summary, completes }: CompletableFlag, when: string): string {
  const words = completes === undefined || completes === 'file' ? '' : ` -a '${completes.join(' ')}'`;
  const value = argument === undefined ? '' : completes === 'file' ? ' -rF' : ' -x';
  return `complete -c viaduct -n ${when}${short === undefined ? '' : ` -s ${short}`} -l ${name}${value}${words} -d '${fishText(summary)}'`;
}

/** PowerShell's own way: a block that gives the words that may follow. It works in Windows PowerShell 5.1 and in 7. */
function powershell(commands: CommandTable): string {
  const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;
  const list = (words: readonly string[]): string => `@(${words.map(text).join(', ')})`;
  const rows = commands.map((command) => {
    const listed = Array.isArray(command.completes) ? command.completes : [];
    return `    ${text(command.name)} = ${list([...allFlags(command).flatMap(dashed), ...listed])}`;
  });
  const values = FLAGS.flatMap((flag) => {
    const { completes } = flag;
    if (completes === undefined || completes === 'file') return [];
    return dashed(flag).map((word) => `    ${text(word)} = ${list(completes)}`);
  });
  return `# PowerShell: viaduct completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName viaduct -ScriptBlock {
  param($word, $ast, $position)
  $words = @{
${rows.join('\n')}
  }
  $values = @{
${values.join('\n')}
  }
  $typed = @($ast.CommandElements | ForEach-Object { $_.ToString() })
  $before = if ($word -eq '') { $typed[-1] } else { $typed[-2] }
  $offered = if ($values.ContainsKey($before)) { $values[$before] }
    elseif ($typed.Count -gt 1 -and $words.ContainsKey($typed[1])) { $words[$typed[1]] }
    else { $words.Keys + $words[${text(commands[0].name)}] }
  $offered | Where-Object { $_ -like "$word*" } | Sort-Object -CaseSensitive -Unique |
    ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_) }
}`;
}

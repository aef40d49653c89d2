import { CommanderError, Command as Parser } from 'commander';
import { FLAGS, type FlagValue } from '../config/flags.ts';
import { suggestion } from '../config/nearest.ts';
import { type Call, type Command, type CommandFlag, flagsOf } from './command.ts';
import { COMMANDS } from './commands.ts';
import { foreignHint } from './foreign-flags.ts';
import { UsageError } from './print.ts';

/** What a command line asks for. */
export type ParsedCommandLine =
  | { readonly do: 'help'; readonly about: Command | undefined }
  | { readonly do: 'version' }
  | { readonly do: 'call'; readonly command: Command; readonly call: Call; readonly notices: readonly string[] };

/** Takes a command line apart. Throws UsageError with one line. */
export function parse(words: readonly string[]): ParsedCommandLine {
  // Behind `--` stand the words of another command; without it they are passed on as they are too.
  const isForeign = COMMANDS.some((command) => command.name === words[0] && command.words === 'of another command');
  const end = isForeign ? 1 : words.indexOf('--');
  const [own, foreign] = end < 0 ? [words, []] : [words.slice(0, end), words.slice(end)];
  const { kept: ours, notices } = withoutThreads(own.map(withTwoDashes));
  const kept = [...ours, ...foreign];
  let parsed: ParsedCommandLine | undefined;
  const root = parser('viaduct').enablePositionalOptions();
  for (const command of COMMANDS) {
    // A thousand options take as long as the rest of the start; those of a command whose name is not there are not asked for.
    if (command !== COMMANDS[0] && !kept.includes(command.name)) continue;
    const sub = parser(command.name).passThroughOptions(command.words === 'of another command');
    const settings: FlagValue[] = [];
    const options = new Map<string, string[]>();
    for (const name of command.operands) sub.argument(isOptional(name) ? name : `<${name}>`);
    const isSetting = new Map(FLAGS.map((flag) => [flag.name, flag]));
    for (const flag of flagsOf(command)) {
      sub.option(spelling(flag));
      sub.on(`option:${flag.name}`, (value: unknown) => {
        const text = typeof value === 'string' ? value : '';
        const setting = command.flags?.some(({ name }) => name === flag.name) ? undefined : isSetting.get(flag.name);
        if (setting !== undefined) settings.push({ flag: setting, text, label: `--${flag.name}` });
        else options.set(flag.name, [...(options.get(flag.name) ?? []), text]);
      });
    }
    sub.option('-h, --help').on('option:help', () => {
      parsed ??= { do: 'help', about: command };
    });
    sub.option('--version').on('option:version', () => {
      parsed ??= { do: 'version' };
    });
    sub.action(() => {
      parsed ??= { do: 'call', command, call: { operands: sub.args, settings, options }, notices };
    });
    root.addCommand(sub, { isDefault: command === COMMANDS[0] });
  }
  try {
    // `viaduct help check` is how some tools spell `viaduct check --help`.
    root.parse(kept[0] === 'help' ? [...kept.slice(1), '--help'] : kept, { from: 'user' });
  } catch (error) {
    // `--help` works even where the rest of the line is wrong.
    if (parsed !== undefined) return parsed;
    if (error instanceof CommanderError) throw new UsageError(inOneLine(error, kept));
    throw error;
  }
  if (parsed === undefined) throw new UsageError('nothing to do; viaduct --help lists the commands');
  return parsed;
}

function parser(name: string): Parser {
  return new Parser(name)
    .helpOption(false)
    .helpCommand(false)
    .allowExcessArguments(false)
    .showSuggestionAfterError(false)
    .configureOutput({ writeErr: () => {}, writeOut: () => {} })
    .exitOverride();
}

const isOptional = (operand: string): boolean => operand.startsWith('[');

const spelling = ({ name, short, argument }: CommandFlag): string =>
  `${short === undefined ? '' : `-${short}, `}--${name}${argument === undefined ? '' : ` <${argument}>`}`;

const SEE_HELP = ' (viaduct --help lists all)';

const LONG_NAMES: ReadonlySet<string> = new Set([
  ...COMMANDS.flatMap((command) => flagsOf(command).map(({ name }) => name)),
  'help',
  'version',
  'threads',
]);

/** Users of alpaca and goforward write `-port 8080`: a single dash before a whole long name. */
function withTwoDashes(word: string): string {
  const name = /^-([a-z][a-z-]+)(?:=.*)?$/s.exec(word)?.[1];
  return name !== undefined && LONG_NAMES.has(name) ? `-${word}` : word;
}

/** forward-proxy's `-c 128` and `--threads 128`: taken off the line, with a notice. A file is never all digits. */
function withoutThreads(words: readonly string[]): { kept: string[]; notices: string[] } {
  const kept: string[] = [];
  const notices: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    const inline = /^(?:--threads=|-c=?)(\d+)$/.exec(word);
    const apart = (word === '--threads' || word === '-c') && /^\d+$/.test(words[at + 1] ?? '');
    if (inline === null && !apart) {
      kept.push(word);
      continue;
    }
    if (apart) at++;
    notices.push(`${word} with a number does nothing here: one thread serves every connection`);
  }
  return { kept, notices };
}

function inOneLine(error: CommanderError, words: readonly string[]): string {
  const named = /'(.*)'/s.exec(error.message)?.[1] ?? '';
  switch (error.code) {
    case 'commander.unknownOption':
      return unknownFlag(named, words[0]);
    case 'commander.optionMissingArgument':
      return `${named.replace(/^-\w, /, '').replace(/ <(.*)>$/, ' needs a value: $1')}`;
    case 'commander.missingArgument':
      return `${words[0]} needs ${named}; viaduct ${words[0]} --help says more`;
    case 'commander.unknownCommand':
    case 'commander.excessArguments':
      return unexpectedWord(words);
    default:
      return error.message.replace(/^error: /, '').replace(/\s+/g, ' ');
  }
}

/** A value may be glued to it, and begins no later than where no name goes on. */
function unknownFlag(word: string, first: string | undefined): string {
  const flag = /^--?[a-z]+(?:[-_][a-z]+)*(?![^=])/i.exec(word)?.[0] ?? /^-[a-z](?![a-z-])/i.exec(word)?.[0];
  if (flag === undefined) return `unknown flag${SEE_HELP}`;
  const foreign = foreignHint(flag);
  if (foreign !== undefined) return `unknown flag ${flag}: ${foreign}${SEE_HELP}`;
  if (flag === '--threads') return `--threads takes a number, and does nothing here${SEE_HELP}`;
  const owner = COMMANDS.find((command) => flagsOf(command).some(({ name }) => `--${name}` === flag));
  if (owner !== undefined) {
    const asked = COMMANDS.find(({ name }) => name === first) ?? COMMANDS[0];
    return `${flag} is no flag of ${asked.name}, but of ${owner.name}; viaduct ${asked.name} --help says more`;
  }
  return `unknown flag ${flag}${suggestion(flag.replace(/^-+/, ''), LONG_NAMES, (name) => `--${name}`)}${SEE_HELP}`;
}

function unexpectedWord(words: readonly string[]): string {
  const names = COMMANDS.map(({ name }) => name);
  const command = COMMANDS.find(({ name }) => name === words[0]);
  if (command !== undefined)
    return `${command.name} takes ${command.operands.join(' ') || 'no words, only flags'}; viaduct ${command.name} --help says more`;
  const word = words.find((one) => !one.startsWith('-')) ?? '';
  // Behind a flag it may be anything, also a password that a space has parted from its flag.
  const isCommand = word === words[0] && /^[a-z][a-z-]*$/i.test(word);
  return isCommand
    ? `unknown command ${word}${suggestion(word, names)}${SEE_HELP}`
    : `a word stands where a command or a flag is wanted${SEE_HELP}`;
}

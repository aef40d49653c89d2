import { CommanderError, Command as Parser } from 'commander';
import { FLAGS } from '../config/flags.ts';
import { suggestion } from '../config/nearest.ts';
import type { Given } from '../config/sources.ts';
import { type Call, COMMANDS, type Command, type CommandFlag } from './commands.ts';
import { UsageError } from './print.ts';

/** What a command line asks for. */
export type Asked =
  | { readonly do: 'help'; readonly about: Command | undefined }
  | { readonly do: 'version' }
  | { readonly do: 'call'; readonly command: Command; readonly call: Call; readonly notices: readonly string[] };

interface AnyFlag {
  readonly name: string;
  readonly short?: string;
  readonly argument?: string;
  readonly summary: string;
}

/** Flags of a command in one list: its own, then those of `run` if it takes them. */
export function flagsOf(command: Command): readonly AnyFlag[] {
  return [...(command.flags ?? []), ...(command.takes === 'settings' ? FLAGS : [])];
}

/** Takes a command line apart. Throws UsageError with one line. */
export function parse(words: readonly string[]): Asked {
  const { kept, notices } = withoutThreads(words.map(withTwoDashes));
  let asked: Asked | undefined;
  const root = parser('viaduct');
  for (const command of COMMANDS) {
    const sub = parser(command.name);
    const settings: Given[] = [];
    const options = new Map<string, string[]>();
    for (const name of command.operands) sub.argument(name.startsWith('[') ? name : `<${name}>`);
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
      asked ??= { do: 'help', about: command };
    });
    sub.option('--version').on('option:version', () => {
      asked ??= { do: 'version' };
    });
    sub.action(() => {
      asked ??= { do: 'call', command, call: { operands: sub.args, settings, options }, notices };
    });
    root.addCommand(sub, { isDefault: command === COMMANDS[0] });
  }
  try {
    // `viaduct help check` is how some tools spell `viaduct check --help`.
    root.parse(kept[0] === 'help' ? [...kept.slice(1), '--help'] : kept, { from: 'user' });
  } catch (error) {
    // Whoever asks for help gets it, however wrong the rest of the line is.
    if (asked !== undefined) return asked;
    if (error instanceof CommanderError) throw new UsageError(inOneLine(error, kept));
    throw error;
  }
  if (asked === undefined) throw new UsageError('nothing to do; viaduct --help lists the commands');
  return asked;
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

const spelling = ({ name, short, argument }: AnyFlag | CommandFlag): string =>
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
  const named = /'([^']*)'/.exec(error.message)?.[1] ?? '';
  switch (error.code) {
    case 'commander.unknownOption':
      return `unknown flag ${named}${suggestion(named.replace(/^-+/, ''), LONG_NAMES, (name) => `--${name}`)}${SEE_HELP}`;
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

function unexpectedWord(words: readonly string[]): string {
  const names = COMMANDS.map(({ name }) => name);
  const command = COMMANDS.find(({ name }) => name === words[0]);
  if (command !== undefined)
    return `${command.name} takes ${command.operands.join(' ') || 'no words, only flags'}; viaduct ${command.name} --help says more`;
  const word = words.find((one) => !one.startsWith('-')) ?? '';
  return `unknown command ${word}${suggestion(word, names)}${SEE_HELP}`;
}

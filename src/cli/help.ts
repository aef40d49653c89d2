import { type Command, type CommandFlag, flagsOf } from './command.ts';
import { COMMANDS } from './commands.ts';

const ABOUT = 'Viaduct: a forward proxy for HTTP CONNECT tunnels and plain HTTP.';

const EXAMPLES: readonly (readonly [command: string, does: string])[] = [
  ['viaduct', 'serve this machine on localhost:3128'],
  ['curl -x localhost:3128 https://example.com/', 'go through it'],
  ['viaduct --rate 4Mbit', 'leave the rest of the line to others'],
  ['viaduct --listen 0.0.0.0 --auth users.htpasswd', 'serve a network, with passwords'],
  ['viaduct --config viaduct.yaml', 'rules, limits and more; reloaded when it is saved'],
  ['viaduct explain https://example.com/', 'every message on every hop, step by step'],
  ['viaduct check', 'every setting in force, and where it came from'],
];

interface ShownFlag extends CommandFlag {
  readonly default?: string;
}

const COMMON: readonly ShownFlag[] = [
  { name: 'help', short: 'h', summary: 'this page' },
  { name: 'version', summary: 'the version' },
];

/** What `--help` prints, about the whole program or about one command. */
export function helpText(about: Command | undefined): string {
  const command = about ?? COMMANDS[0];
  const flags: readonly ShownFlag[] = [...flagsOf(command), ...COMMON];
  const isWhole = command === COMMANDS[0];
  const parts = isWhole
    ? [ABOUT, `Examples\n${rows(EXAMPLES)}`, `Commands\n${rows(COMMANDS.map((one) => [usageOf(one), one.summary]))}`]
    : [`viaduct ${usageOf(command)}: ${command.summary}`];
  parts.push(`Flags${isWhole ? ' of run' : ''}\n${rows(flags.map((flag) => [spelled(flag), described(flag)]))}`);
  if (command.takes === 'settings') {
    parts.push(
      'Every flag is a variable too (VIADUCT_PORT=8080). Flags win over variables, variables over the file, the file over defaults.',
    );
  }
  return parts.join('\n\n');
}

const usageOf = ({ name, operands }: Command): string => [name, ...operands].join(' ');

function spelled({ name, short, argument }: ShownFlag): string {
  const long = `--${name}${argument === undefined ? '' : ` ${argument}`}`;
  return short === undefined ? `    ${long}` : `-${short}, ${long}`;
}

const described = (flag: ShownFlag): string =>
  flag.default === undefined ? flag.summary : `${flag.summary} (${flag.default})`;

function rows(pairs: readonly (readonly [left: string, right: string])[]): string {
  const width = Math.max(...pairs.map(([left]) => left.length));
  return pairs.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}

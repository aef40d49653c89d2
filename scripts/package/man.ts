/** The page of viaduct(1), from the tables that the command line is made from. `mandoc -Tlint` and `man -l` read it. */
import { type Command, flagsOf } from '../../src/cli/command.ts';
import { COMMANDS } from '../../src/cli/commands.ts';
import { product } from './product.ts';

/** A line that begins with a dot or an apostrophe would be a request; a hyphen would break, and be copied as another sign. */
const text = (value: string): string =>
  value
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('…', '...')
    .replaceAll('’', "'")
    .replace(/^[.']/gm, '\\&$&');

const bold = (value: string): string => `\\fB${text(value)}\\fR`;
const italic = (value: string): string => `\\fI${text(value)}\\fR`;

function flagEntries(command: Command): string[] {
  return flagsOf(command).map((flag) => {
    const { name, short, argument, summary } = flag;
    const value = argument === undefined ? '' : ` ${italic(argument)}`;
    const spelled = [...(short === undefined ? [] : [bold(`-${short}`)]), `${bold(`--${name}`)}${value}`].join(', ');
    const usual = 'default' in flag && typeof flag.default === 'string' ? ` Default: ${flag.default}.` : '';
    return `.TP\n${spelled}\n${text(`${summary}.${usual}`)}`;
  });
}

export function manPage(dateIso: string): string {
  const { version, summary, homepage } = product();
  const [run, ...others] = COMMANDS;
  const commands = others.map((command) => {
    const own = { ...command, takes: 'own flags only' } as const;
    const flags = flagEntries(own);
    const takes = command.takes === 'settings' ? ['It takes the flags of run as well.'] : [];
    const head = `.SS ${[bold(command.name), ...command.operands.map(italic)].join(' ')}\n${text(command.summary)}.`;
    return [head, ...takes.map(text), ...flags].join('\n');
  });
  return `${[
    `.TH VIADUCT 1 ${dateIso} "viaduct ${version}" "User Commands"`,
    '.SH NAME',
    `viaduct \\- ${text(summary)}`,
    '.SH SYNOPSIS',
    `${bold('viaduct')} [${italic('COMMAND')}] [${italic('FLAG')} ...]`,
    '.SH DESCRIPTION',
    text(
      'Without a command it runs the proxy, on localhost:3128 unless a flag names another address, until a signal stops it.',
    ),
    text('Every flag of run is a variable too (VIADUCT_PORT=8080). Flags win over variables, variables over the file.'),
    '.SH OPTIONS OF RUN',
    ...flagEntries(run),
    '.SH COMMANDS',
    ...commands,
    '.SH EXIT STATUS',
    text('0: fine. 1: a failure. 2: wrong usage or configuration, or an address that cannot be listened on.'),
    '.SH SIGNALS',
    text('SIGTERM and SIGINT drain and stop; a second one stops at once. SIGHUP reads the configuration again.'),
    text('SIGUSR2 opens the log file again.'),
    '.SH FILES',
    '.TP',
    '\\fI$XDG_CONFIG_HOME/viaduct/viaduct.yaml\\fR',
    'The configuration. It is read again when it is saved.',
    '.TP',
    '\\fI$XDG_STATE_HOME/viaduct/\\fR',
    'The token of the API, counts of quotas, rejected passwords (no password itself).',
    '.SH SEE ALSO',
    `${bold('curl')}(1), ${homepage}`,
  ].join('\n')}\n`;
}

import type { Command } from '../command.ts';
import { MEANT_PROXY_FLAGS } from '../meant-proxy.ts';

/** The row of `setup` in the table of commands. */
export const setupCommand: Command = {
  name: 'setup',
  summary: 'point the tools of this machine at the proxy, and undo it',
  operands: ['[TOOL...]'],
  takes: 'own flags only',
  flags: [
    { name: 'list', summary: 'show every tool, and whether it is set up' },
    { name: 'dry-run', summary: 'show what would be changed, and change nothing' },
    { name: 'undo', summary: 'put back what was there before, where it has not been changed since' },
    { name: 'scope', argument: 'SCOPE', summary: 'user (default), or system: prints what it would do' },
    { name: 'yes', summary: 'with --scope system: do it; and run what a tool needs afterwards' },
    { name: 'pac', summary: 'only what can use the PAC of the proxy, such as the desktop' },
    {
      name: 'ca',
      argument: 'auto|FILE|none',
      summary: 'root certificates for the tools too: auto (those of the system), those of a file, or none (default)',
    },
    ...MEANT_PROXY_FLAGS,
  ],
  load: () => import('./setup.ts'),
};

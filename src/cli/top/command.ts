import type { Command } from '../command.ts';

/** The row of `top` in the table of commands. */
export const topCommand: Command = {
  name: 'top',
  summary: 'live view of a running proxy in the terminal: sort, filter, end a request',
  operands: [],
  takes: 'own flags only',
  flags: [
    { name: 'port', short: 'p', argument: 'N', summary: 'the proxy that listens on this port, where several run' },
    {
      name: 'url',
      argument: 'URL',
      summary: 'its admin address instead of its control socket; the token comes from VIADUCT_ADMIN_TOKEN',
    },
  ],
  load: () => import('./top.ts'),
};

import type { Command } from '../command.ts';

/** The row of `explain` in the table of commands. */
export const explainCommand: Command = {
  name: 'explain',
  summary: 'make one request through a proxy and print every message on every hop',
  operands: ['URL'],
  takes: 'settings',
  flags: [
    {
      name: 'through',
      argument: 'URL',
      summary: 'a running proxy (http:, https: or socks5:) instead of one started just for this request',
    },
    { name: 'ca', argument: 'FILE', summary: 'PEM file of authorities to trust besides, for --through https://…' },
    { name: 'method', argument: 'NAME', summary: 'method of the request; default GET' },
    { name: 'tunnel', summary: 'use CONNECT for an http:// URL too' },
    { name: 'insecure', short: 'k', summary: 'go on when the certificate of the site is not trusted' },
    { name: 'html', argument: 'FILE', summary: 'write the conversation to this file too, as a page for a browser' },
    { name: 'json', summary: 'print one JSON object: the steps in order' },
  ],
  load: () => import('./explain.ts'),
};

import type { Command } from '../commands.ts';

/** The row of `explain` in the table of commands. */
export const explainCommand: Command = {
  name: 'explain',
  summary: 'make one request through a proxy and print what is said on every hop',
  operands: ['URL'],
  takes: 'settings',
  flags: [
    { name: 'through', argument: 'URL', summary: 'a proxy that runs already, instead of one just for this request' },
    { name: 'method', argument: 'NAME', summary: 'method of the request; default GET' },
    { name: 'tunnel', summary: 'use CONNECT for an http:// URL too' },
    { name: 'insecure', short: 'k', summary: 'go on when the certificate of the site is not trusted' },
    { name: 'json', summary: 'print one JSON object: the steps in order' },
  ],
  load: () => import('../explain.ts'),
};

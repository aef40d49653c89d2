import type { Command } from '../command.ts';
import { MEANT_PROXY_FLAGS } from '../meant-proxy.ts';

/** The rows of `env`, `exec` and `connect` in the table of commands. */
export const envCommands: readonly Command[] = [
  {
    name: 'env',
    summary: 'print the variables by which programs use the proxy, for a shell to evaluate',
    operands: [],
    takes: 'own flags only',
    flags: [
      { name: 'shell', argument: 'SHELL', summary: 'sh, fish, pwsh or cmd; default: the shell of this user' },
      ...MEANT_PROXY_FLAGS,
    ],
    load: () => import('./env.ts'),
  },
  {
    name: 'exec',
    summary: 'run one command with the variables of the proxy, Java and Node included: exec -- COMMAND',
    operands: ['COMMAND...'],
    words: 'of another command',
    takes: 'own flags only',
    flags: MEANT_PROXY_FLAGS,
    load: () => import('./exec.ts'),
  },
  {
    name: 'connect',
    summary: 'a tunnel on standard input and output, for the ProxyCommand of ssh: connect %h %p',
    operands: ['HOST', 'PORT'],
    takes: 'own flags only',
    flags: MEANT_PROXY_FLAGS,
    load: () => import('./connect.ts'),
  },
];

import { ROUTE_MODES } from '../contracts/routing.ts';
import { type CommandTable, SHELLS } from './command.ts';
import { doctorCommand } from './doctor/command.ts';
import { envCommands } from './env/commands.ts';
import { explainCommand } from './explain/command.ts';
import { pacCommand } from './pac/command.ts';
import { serviceCommand } from './service/command.ts';
import { setupCommand } from './setup/command.ts';
import { topCommand } from './top/command.ts';

export const COMMANDS: CommandTable = [
  {
    name: 'run',
    summary: 'run the proxy; what `viaduct` alone does',
    operands: [],
    takes: 'settings',
    flags: [{ name: 'hash', short: 'H', summary: 'print NTLM_CREDENTIALS for --user and --domain, and exit' }],
    load: () => import('./run/run.ts'),
  },
  {
    name: 'check',
    summary: 'validate the configuration; print every setting and where it came from',
    operands: ['[FILE]'],
    takes: 'settings',
    completes: 'file',
    load: () => import('./check.ts'),
  },
  explainCommand,
  {
    name: 'why',
    summary: 'show what the proxy would decide about a URL, and why, without sending anything',
    operands: ['URL'],
    takes: 'settings',
    flags: [
      { name: 'as', argument: 'USER', summary: 'the user of the request, as if the password were right' },
      { name: 'from', argument: 'IP', summary: 'the address that the client would have; default 127.0.0.1' },
      { name: 'listener', argument: 'URL', summary: 'the listener that the client would use; default: the first' },
      { name: 'json', summary: 'print one JSON object' },
    ],
    load: () => import('./why/why.ts'),
  },
  pacCommand,
  topCommand,
  setupCommand,
  doctorCommand,
  ...envCommands,
  {
    name: 'hash',
    summary:
      'print hashes to use instead of a password: NTLM_CREDENTIALS, the lines of cntlm, or those of clients for Digest',
    operands: [],
    takes: 'own flags only',
    flags: [
      { name: 'domain', short: 'd', argument: 'D', summary: "domain of the account; '' for none" },
      { name: 'user', short: 'u', argument: 'U', summary: 'user of the account; default: the login name' },
      {
        name: 'realm',
        argument: 'NAME',
        summary: 'print the lines of clients.users for Digest instead, for this realm; most use viaduct',
      },
    ],
    load: () => import('./account/hash.ts'),
  },
  {
    name: 'login',
    summary: 'store the password of an account at upstream proxies in the keyring',
    operands: ['[ACCOUNT_OR_PROXY]'],
    takes: 'settings',
    flags: [{ name: 'no-test', summary: 'store it without trying it once at the upstream proxy' }],
    load: () => import('./account/login.ts'),
  },
  {
    name: 'logout',
    summary: 'remove the password of an account from the keyring',
    operands: ['[ACCOUNT_OR_PROXY]'],
    takes: 'settings',
    load: () => import('./account/logout.ts'),
  },
  {
    name: 'token',
    summary: 'print the token of the API of the running proxy',
    operands: [],
    takes: 'settings',
    flags: [
      { name: 'link', summary: 'print a link that signs a browser in to the dashboard, once, within 10 minutes' },
      { name: 'rotate', summary: 'replace the token; browsers have to sign in again' },
    ],
    load: () => import('./token.ts'),
  },
  serviceCommand,
  {
    name: 'mode',
    summary: 'send requests by the PAC, direct or by the configured proxies alone, for a while; alone: the mode',
    operands: ['[pac|direct|proxy|configured]'],
    takes: 'settings',
    flags: [{ name: 'for', argument: 'T', summary: 'how long, such as 15m; default: until a reload or restart' }],
    completes: ROUTE_MODES,
    load: () => import('./mode.ts'),
  },
  {
    name: 'import',
    summary: 'turn px.ini, cntlm.conf or a profile with the variables of alpaca into a viaduct.yaml',
    operands: ['FILE'],
    takes: 'own flags only',
    completes: 'file',
    load: () => import('./import/import.ts'),
  },
  {
    name: 'completion',
    summary: 'print the completion script of a shell',
    operands: ['SHELL'],
    takes: 'own flags only',
    completes: SHELLS,
    load: () => import('./completion.ts'),
  },
];

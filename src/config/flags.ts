import { existsSync } from 'node:fs';
import { hashOfPlain } from '../identity/password-hash.ts';
import { RELAY_KINDS } from '../relay/options.ts';
import type { Path } from './problems.ts';

/** What one flag or variable says about one setting. */
export interface Said {
  readonly path: Path;
  readonly value: unknown;
}

/** A flag of `viaduct run` and `viaduct check`, and the variable of the same name. */
export interface Flag {
  /** Long name without dashes; the variable is the same in capitals, `VIADUCT_LOG_FILE`. */
  readonly name: string;
  readonly short?: string;
  /** Absent: the flag takes no value. */
  readonly argument?: string;
  readonly summary: string;
  readonly default?: string;
  /** Words that the shell may complete; `file` completes paths. */
  readonly completes?: readonly string[] | 'file';
  /** What the flag says about settings; `text` is `''` for a flag without a value. Throws FlagError. */
  says(text: string): readonly Said[];
}

/** A value that a flag or a variable cannot have; the message says how to mend it. */
export class FlagError extends Error {
  override readonly name = 'FlagError';
}

const LOG_FORMATS = ['pretty', 'json', 'clf', 'squid', 'off'] as const;

/** In the order in which `--help` lists them. */
export const FLAGS: readonly Flag[] = [
  {
    name: 'listen',
    short: 'l',
    argument: 'ADDR',
    summary: 'where to listen; repeatable: HOST, HOST:PORT, [V6]:PORT, http://…, unix:/PATH',
    default: 'localhost = 127.0.0.1 and ::1',
    says: (text) => [{ path: ['listen'], value: listOf(text) }],
  },
  {
    name: 'port',
    short: 'p',
    argument: 'N',
    summary: 'port for listeners that name none; 0 picks a free one',
    default: '3128',
    says: (text) => [{ path: ['port'], value: wholeNumber(text, 'a port from 0 to 65535') }],
  },
  {
    name: 'binding',
    short: 'b',
    argument: 'IP',
    summary: 'the same as --listen',
    says: (text) => [{ path: ['listen'], value: listOf(text) }],
  },
  {
    name: 'config',
    short: 'c',
    argument: 'FILE',
    summary: 'configuration file, YAML or JSON',
    default: 'viaduct.yaml in $XDG_CONFIG_HOME/viaduct, if there',
    completes: 'file',
    // Names the file itself; it is no setting in one.
    says: () => [],
  },
  {
    name: 'pac',
    short: 'C',
    argument: 'URL',
    summary: 'PAC: http(s):, file:, data:, a path, system, auto (system, then WPAD) or none',
    default: 'system; none where routes are configured',
    completes: ['system', 'auto', 'none'],
    says: (text) => [{ path: ['routes', 'pac'], value: text }],
  },
  {
    name: 'proxy',
    short: 'x',
    argument: 'URL',
    summary: 'upstream proxy: http://, https://, socks4://, socks4a://, socks5://; repeat = fail-over order',
    default: 'none = direct',
    says: (text) => [{ path: ['routes', 'proxy'], value: [text] }],
  },
  {
    name: 'noproxy',
    argument: 'LIST',
    summary: 'go direct for these, as NO_PROXY has it: names, addresses, blocks, with or without :PORT, *',
    default: 'NO_PROXY',
    says: (text) => [{ path: ['routes', 'noProxy'], value: listOf(text) }],
  },
  {
    name: 'domain',
    short: 'd',
    argument: 'D',
    summary: 'domain of the account at upstream proxies; its password is asked for where nothing else has it',
    says: (text) => [{ path: ['credentials', 'default', 'domain'], value: text }],
  },
  {
    name: 'user',
    short: 'u',
    argument: 'U',
    summary: 'user of the account at upstream proxies: U, or DOMAIN\\U',
    default: 'the login name',
    says: (text) => [{ path: ['credentials', 'default', 'user'], value: text }],
  },
  {
    name: 'credentials-for',
    argument: 'LIST',
    summary: 'upstream proxies (DNS suffixes, commas between) that may be told who we are, whoever names them',
    default: 'those that the user or a trusted PAC names',
    says: (text) => [{ path: ['credentials', 'allow'], value: listOf(text) }],
  },
  {
    name: 'no-kerberos',
    summary: 'never offer Negotiate to upstream proxies',
    says: (text) => [{ path: ['credentials', 'kerberos'], value: !yesOrNo(text) }],
  },
  {
    name: 'enable-socks',
    summary: 'does nothing: SOCKS proxies of a PAC are used anyway',
    // Scripts written for alpaca keep working.
    says: () => [],
  },
  {
    name: 'auth',
    argument: 'FILE_OR_USER:PASS',
    summary: 'clients must authenticate (Basic); FILE is made by htpasswd',
    default: 'off',
    completes: 'file',
    says: (text) => [{ path: ['clients', 'users'], value: usersOf(text) }],
  },
  {
    name: 'allow',
    argument: 'LIST',
    summary: 'source addresses (IP or CIDR, commas between) that may use the proxy',
    default: 'loopback listeners: everyone local',
    says: (text) => [{ path: ['clients', 'allow'], value: listOf(text) }],
  },
  {
    name: 'rate',
    argument: 'R',
    summary: 'bandwidth of the whole proxy per second: 524288, 512KiB, 4Mbit, …',
    default: 'unlimited',
    says: (text) => [{ path: ['limits', 'bandwidth'], value: { per: 'proxy', rate: text } }],
  },
  {
    name: 'timeout',
    short: 't',
    argument: 'S',
    summary: 'seconds to connect, and to get a response head, else 504',
    default: '30',
    says: (text) => [
      { path: ['timeouts', 'connect'], value: durationOf(text) },
      { path: ['timeouts', 'head'], value: durationOf(text) },
    ],
  },
  {
    name: 'idle',
    argument: 'T',
    summary: 'close a tunnel without a byte for this long; 0 = never',
    default: '1h',
    says: (text) => [{ path: ['timeouts', 'idle'], value: durationOf(text) }],
  },
  {
    name: 'relay',
    argument: 'KIND',
    summary: 'who moves the bytes of tunnels: auto, native (or do not start) or portable',
    default: 'auto = native where it is built',
    completes: RELAY_KINDS,
    says: (text) => [{ path: ['relay'], value: text }],
  },
  {
    name: 'workers',
    argument: 'N',
    summary: 'processes that serve; auto = one for each core',
    default: '1',
    completes: ['auto'],
    says: (text) => [
      { path: ['workers'], value: text === 'auto' ? text : wholeNumber(text, 'a number of processes, or auto') },
    ],
  },
  {
    name: 'open',
    summary: 'yes, let everyone who reaches an exposed listener use it',
    default: 'off',
    says: (text) => [{ path: ['open'], value: yesOrNo(text) }],
  },
  {
    name: 'name',
    argument: 'NAME',
    summary: 'our name in Via and Proxy-Status',
    default: 'viaduct',
    says: (text) => [{ path: ['name'], value: text }],
  },
  {
    name: 'log',
    argument: 'FORMAT',
    summary: `access log: ${LOG_FORMATS.join(', ')}`,
    default: 'pretty on a terminal, else json',
    completes: LOG_FORMATS,
    says: (text) => [{ path: ['log', 'format'], value: text }],
  },
  {
    name: 'log-file',
    argument: 'PATH',
    summary: 'write the access log there, not to standard output',
    completes: 'file',
    says: (text) => [{ path: ['log', 'file'], value: text }],
  },
  {
    name: 'quiet',
    short: 'q',
    summary: 'say nothing but errors on standard error',
    says: (text) => [{ path: ['quiet'], value: yesOrNo(text) }],
  },
  {
    name: 'verbose',
    short: 'v',
    summary: 'say more, stack traces included',
    says: (text) => [{ path: ['verbose'], value: yesOrNo(text) }],
  },
];

/** `VIADUCT_LOG_FILE` for `log-file`. */
export const variableOf = (flag: Flag): string => `VIADUCT_${flag.name.toUpperCase().replaceAll('-', '_')}`;

function listOf(text: string): string[] {
  const parts = text.split(',').map((part) => part.trim());
  return parts.filter((part) => part !== '');
}

function wholeNumber(text: string, wanted: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new FlagError(`${JSON.stringify(text)} is not ${wanted}`);
  return Number(text);
}

/** A bare number is seconds, as `-t 300` has always been. */
const durationOf = (text: string): string | number => (/^\d+(\.\d+)?$/.test(text) ? `${text}s` : text);

function yesOrNo(text: string): boolean {
  if (/^(1|true|yes|on)?$/i.test(text)) return true;
  if (/^(0|false|no|off)$/i.test(text)) return false;
  throw new FlagError(`${JSON.stringify(text)} is neither true nor false`);
}

/**
 * A file of users, or one user. The password is hashed at once: nothing holds it longer than this call.
 * The file comes first, since a path may hold a colon, and a password must not be taken for the name of a file.
 */
function usersOf(text: string): unknown {
  const colon = text.indexOf(':');
  if (colon < 0 || existsSync(text)) return text;
  const [name, password] = [text.slice(0, colon), text.slice(colon + 1)];
  if (name === '' || password === '') throw new FlagError('write a file of users, or USER:PASS');
  // Basic cannot send them (RFC 7617 §2): this user could never come in.
  if (/[\0-\x1f\x7f]/.test(text)) throw new FlagError('names and passwords have no control characters');
  return { [name]: hashOfPlain(password) };
}

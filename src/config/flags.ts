import { existsSync } from 'node:fs';
import { isPasswordTooLong, PASSWORD_BYTES_MAX } from '../identity/lengths.ts';
import { hashOfPlain } from '../identity/password-hash.ts';
import { LOG_FORMATS } from '../observe/options.ts';
import { RELAY_KINDS } from '../relay/options.ts';
import { quoted } from '../util/redact.ts';
import type { Path } from './problems.ts';

/** What one flag or variable sets. */
export interface SettingAssignment {
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
  /** The settings that the flag sets; `text` is `''` for a flag without a value. Throws FlagError. */
  apply(text: string): readonly SettingAssignment[];
}

/** A flag or a variable that was given a value; `label` is what the user typed: `--port`, `VIADUCT_PORT`. */
export interface FlagValue {
  readonly flag: Flag;
  readonly text: string;
  readonly label: string;
}

/** A value that a flag or a variable cannot have; the message says what to write instead. */
export class FlagError extends Error {
  override readonly name = 'FlagError';
}

/** In the order in which `--help` lists them. */
export const FLAGS: readonly Flag[] = [
  {
    name: 'listen',
    short: 'l',
    argument: 'ADDR',
    summary:
      'where to listen; repeatable: HOST, HOST:PORT, [V6]:PORT, http://…, https://…, socks5://…, any://…, unix:/PATH',
    default: 'localhost = 127.0.0.1 and ::1',
    apply: (text) => [{ path: ['listen'], value: listOf(text) }],
  },
  {
    name: 'port',
    short: 'p',
    argument: 'N',
    summary: 'port for listeners that name none; 0 picks a free one',
    default: '3128',
    apply: (text) => [{ path: ['port'], value: wholeNumber(text, 'a port from 0 to 65535') }],
  },
  {
    name: 'binding',
    short: 'b',
    argument: 'IP',
    summary: 'the same as --listen',
    apply: (text) => [{ path: ['listen'], value: listOf(text) }],
  },
  {
    name: 'config',
    short: 'c',
    argument: 'FILE',
    summary: 'configuration file, YAML or JSON',
    default: 'viaduct.yaml in $XDG_CONFIG_HOME/viaduct, if there',
    completes: 'file',
    // Names the file itself, so it cannot be a setting in one.
    apply: () => [],
  },
  {
    name: 'pac',
    short: 'C',
    argument: 'URL',
    summary: 'PAC: http(s):, file:, data:, a path, system, auto (system, then WPAD) or none',
    default: 'system; none where routes are configured',
    completes: ['system', 'auto', 'none'],
    apply: (text) => [{ path: ['routes', 'pac'], value: text }],
  },
  {
    name: 'proxy',
    short: 'x',
    argument: 'URL',
    summary: 'upstream proxy: http://, https://, socks4://, socks4a://, socks5://; repeat = fail-over order',
    default: 'none = direct',
    apply: (text) => [{ path: ['routes', 'proxy'], value: [text] }],
  },
  {
    name: 'direct-fallback',
    summary: 'go direct while the PAC, or every upstream proxy, cannot be reached (routes.unreachable: direct)',
    default:
      'off; the PAC of system or auto alone means direct while it cannot be reached, unless a listener is exposed',
    apply: (text) => [{ path: ['routes', 'unreachable'], value: yesOrNo(text) ? 'direct' : 'refuse' }],
  },
  {
    name: 'noproxy',
    argument: 'LIST',
    summary: 'go direct for these, as NO_PROXY has it: names, addresses, blocks, with or without :PORT, *',
    default: 'NO_PROXY',
    apply: (text) => [{ path: ['routes', 'noProxy'], value: listOf(text) }],
  },
  {
    name: 'domain',
    short: 'd',
    argument: 'D',
    summary: 'domain of the account at upstream proxies; its password is asked for where nothing else has it',
    apply: (text) => [{ path: ['credentials', 'default', 'domain'], value: text }],
  },
  {
    name: 'user',
    short: 'u',
    argument: 'U',
    summary: 'user of the account at upstream proxies: U, or DOMAIN\\U',
    default: 'the login name',
    apply: (text) => [{ path: ['credentials', 'default', 'user'], value: text }],
  },
  {
    name: 'credentials-for',
    argument: 'LIST',
    summary:
      'upstream proxies that may get credentials, also where an untrusted PAC names them: DNS suffixes, commas between',
    default: 'those that the user or a trusted PAC names',
    apply: (text) => [{ path: ['credentials', 'allow'], value: listOf(text) }],
  },
  {
    name: 'no-kerberos',
    summary: 'never offer Negotiate to upstream proxies',
    apply: (text) => [{ path: ['credentials', 'kerberos'], value: !yesOrNo(text) }],
  },
  {
    name: 'enable-socks',
    summary: 'does nothing: SOCKS proxies of a PAC are used anyway',
    // Scripts written for alpaca keep working.
    apply: () => [],
  },
  {
    name: 'auth',
    argument: 'FILE_OR_USER:PASS',
    summary:
      'clients must authenticate; FILE is made by htpasswd, htdigest or viaduct hash (clients.users in docs/CONFIG.md)',
    default: 'off',
    completes: 'file',
    apply: (text) => [{ path: ['clients', 'users'], value: usersOf(text) }],
  },
  {
    name: 'allow',
    argument: 'LIST',
    summary: 'source addresses (IP or CIDR, commas between) that may use the proxy',
    default: 'loopback listeners: everyone local',
    apply: (text) => [{ path: ['clients', 'allow'], value: listOf(text) }],
  },
  {
    name: 'rate',
    argument: 'R',
    summary: 'bandwidth of the whole proxy per second: 524288, 512KiB, 4Mbit, …',
    default: 'unlimited',
    apply: (text) => [{ path: ['limits', 'bandwidth'], value: { per: 'proxy', rate: text } }],
  },
  {
    name: 'timeout',
    short: 't',
    argument: 'S',
    summary: 'seconds to connect, and to get a response head, else 504',
    default: '30',
    apply: (text) => [
      { path: ['timeouts', 'connect'], value: durationOf(text) },
      { path: ['timeouts', 'head'], value: durationOf(text) },
    ],
  },
  {
    name: 'idle',
    argument: 'T',
    summary: 'close a tunnel without a byte for this long; 0 = never',
    default: '1h',
    apply: (text) => [{ path: ['timeouts', 'idle'], value: durationOf(text) }],
  },
  {
    name: 'relay',
    argument: 'KIND',
    summary: 'who moves the bytes of tunnels: auto, native (or do not start) or portable',
    default: 'auto = native where it is built',
    completes: RELAY_KINDS,
    apply: (text) => [{ path: ['relay'], value: text }],
  },
  {
    name: 'decisions',
    argument: 'HOW',
    summary: 'decide about each CONNECT anew (each), or as about the same a moment ago (repeat)',
    default: 'repeat',
    completes: ['repeat', 'each'],
    apply: (text) => [{ path: ['decisions'], value: text }],
  },
  {
    name: 'workers',
    argument: 'N',
    summary: 'processes that serve; auto = one for each core',
    default: '1',
    completes: ['auto'],
    apply: (text) => [
      { path: ['workers'], value: text === 'auto' ? text : wholeNumber(text, 'a number of processes, or auto') },
    ],
  },
  {
    name: 'open',
    summary: 'yes, let everyone who reaches an exposed listener use it',
    default: 'off',
    apply: (text) => [{ path: ['open'], value: yesOrNo(text) }],
  },
  {
    name: 'name',
    argument: 'NAME',
    summary: 'our name in Via and Proxy-Status',
    default: 'viaduct',
    apply: (text) => [{ path: ['name'], value: text }],
  },
  {
    name: 'admin',
    argument: 'ADDR',
    summary: 'where the dashboard, the API and the metrics are; repeatable',
    default: 'localhost:3129, or a free port when that is taken',
    apply: (text) => [{ path: ['admin', 'listen'], value: listOf(text) }],
  },
  {
    name: 'no-admin',
    summary: 'no dashboard, no API and no metrics',
    apply: (text) => (yesOrNo(text) ? [{ path: ['admin'], value: false }] : []),
  },
  {
    name: 'log',
    argument: 'FORMAT',
    summary: `access log: ${LOG_FORMATS.join(', ')}`,
    default: 'pretty on a terminal, else json',
    completes: LOG_FORMATS,
    apply: (text) => [{ path: ['log', 'format'], value: text }],
  },
  {
    name: 'log-file',
    argument: 'PATH',
    summary: 'write the access log there, not to standard output',
    completes: 'file',
    apply: (text) => [{ path: ['log', 'file'], value: text }],
  },
  {
    name: 'quiet',
    short: 'q',
    summary: 'print nothing but errors on standard error',
    apply: (text) => [{ path: ['quiet'], value: yesOrNo(text) }],
  },
  {
    name: 'verbose',
    short: 'v',
    summary: 'print a stack trace when the command fails',
    apply: (text) => [{ path: ['verbose'], value: yesOrNo(text) }],
  },
];

/** `VIADUCT_LOG_FILE` for `log-file`. */
export const variableOf = (flag: Flag): string => `VIADUCT_${flag.name.toUpperCase().replaceAll('-', '_')}`;

function listOf(text: string): string[] {
  const parts = text.split(',').map((part) => part.trim());
  return parts.filter((part) => part !== '');
}

function wholeNumber(text: string, wanted: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new FlagError(`${quoted(text)} is not ${wanted}`);
  return Number(text);
}

/** A bare number is seconds, as `-t 300` has always been. */
const durationOf = (text: string): string | number => (/^\d+(\.\d+)?$/.test(text) ? `${text}s` : text);

function yesOrNo(text: string): boolean {
  if (/^(1|true|yes|on)?$/i.test(text)) return true;
  if (/^(0|false|no|off)$/i.test(text)) return false;
  throw new FlagError(`${quoted(text)} is neither true nor false`);
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
  if (isPasswordTooLong(password)) throw new FlagError(`a password has at most ${PASSWORD_BYTES_MAX} bytes`);
  return { [name]: hashOfPlain(password) };
}

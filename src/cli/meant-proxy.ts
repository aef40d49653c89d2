import { type Instance, runningInstances } from '../admin/instances.ts';
import { stateFolder } from '../files/state-folder.ts';
import { quoted, redact } from '../util/redact.ts';
import type { Call, CommandFlag } from './command.ts';
import { UsageError } from './print.ts';
import { severalRunning } from './running-proxy.ts';

/** Flags that say which proxy a command means. */
export const MEANT_PROXY_FLAGS: readonly CommandFlag[] = [
  { name: 'port', short: 'p', argument: 'N', summary: 'the proxy on this port of this machine' },
  { name: 'through', argument: 'URL', summary: 'any other proxy, by its URL' },
  { name: 'config', short: 'c', argument: 'FILE', summary: 'the configuration that says where it listens' },
];

/** The proxy that a command means. */
export interface MeantProxy {
  /** `http://127.0.0.1:3128`, without a slash at the end. */
  readonly url: string;
  /** A name or an address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** What chose it. */
  readonly by: 'through' | 'port' | 'running' | 'configuration' | 'default';
  /** Of the proxy of this user that runs there. */
  readonly instance: Instance | undefined;
}

const DEFAULT_PORT = 3128;

/**
 * The proxy of `--through`; else the one on `--port` of loopback; else the only one of this user that runs; else the first
 * loopback listener of the configuration; else localhost:3128. Throws UsageError where several run.
 */
export async function meantProxy({ options }: Call, environment: NodeJS.ProcessEnv): Promise<MeantProxy> {
  const through = options.get('through')?.at(-1);
  if (through !== undefined) return proxyAt(through, 'through', undefined);
  const running = await runningInstances(stateFolder(environment));
  const port = options.get('port')?.at(-1) ?? (environment.VIADUCT_PORT || undefined);
  if (port !== undefined) return onPort(port, running);
  const [first, ...others] = running;
  if (others.length > 0) throw severalRunning(running);
  if (first === undefined) return configured(options.get('config')?.at(-1), environment);
  const url = clientUrl(first.listeners);
  if (url === undefined)
    throw new UsageError(
      `the proxy of process ${first.pid} has no HTTP listener; add one, or name another proxy with --through`,
    );
  return proxyAt(url, 'running', first);
}

function onPort(text: string, running: readonly Instance[]): MeantProxy {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535 || Number(text) === 0) {
    throw new UsageError(`${quoted(text)} is not a valid port; write 1 to 65535`);
  }
  const instance = running.find(({ listeners }) => listeners.some((url) => url.endsWith(`:${text}`)));
  const listeners = instance?.listeners.filter((url) => url.endsWith(`:${text}`)) ?? [];
  return proxyAt(clientUrl(listeners) ?? `http://127.0.0.1:${text}`, 'port', instance);
}

/** Loaded only here, since reading a configuration takes the greater part of a short command's time. */
async function configured(file: string | undefined, environment: NodeJS.ProcessEnv): Promise<MeantProxy> {
  const [{ load }, { FLAGS }] = await Promise.all([import('../config/sources.ts'), import('../config/flags.ts')]);
  const flag = FLAGS.find(({ name }) => name === 'config');
  const flags = file === undefined || flag === undefined ? [] : [{ flag, text: file, label: '--config' }];
  const { config, file: read } = load({ flags, environment, isTerminal: false });
  const urls = config.listen.flatMap((one) =>
    one.kind === 'tcp' && one.port !== 0 ? [`${one.protocol}://${bracketed(one.host)}:${one.port}`] : [],
  );
  const url = clientUrl(urls);
  const by = read === undefined ? 'default' : 'configuration';
  return proxyAt(url ?? `http://127.0.0.1:${DEFAULT_PORT}`, by, undefined);
}

/**
 * Of the URLs of listeners the one that clients of this machine should use: 127.0.0.1 before ::1, which not every client
 * tries, and loopback before others. A listener for all addresses is reached by 127.0.0.1.
 */
export function clientUrl(listeners: readonly string[]): string | undefined {
  const urls = listeners.flatMap((text) => {
    const match = /^(?:http|any):\/\/(.+):(\d+)$/.exec(text);
    if (match === null) return [];
    const [, written = '', port] = match;
    const host = /^(?:0\.0\.0\.0|\[::\]|localhost)$/.test(written) ? '127.0.0.1' : written;
    return [{ host, url: `http://${host}:${port}` }];
  });
  const isV4 = ({ host }: { readonly host: string }) => host.startsWith('127.');
  const isV6 = ({ host }: { readonly host: string }) => host === '[::1]';
  return (urls.find(isV4) ?? urls.find(isV6) ?? urls[0])?.url;
}

function proxyAt(text: string, by: MeantProxy['by'], instance: Instance | undefined): MeantProxy {
  // A listener with the scheme any: speaks HTTP too.
  const url = parsed(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text.replace(/^any:/i, 'http:') : `http://${text}`);
  if (url === undefined)
    throw new UsageError(`--through: ${text === '' ? 'nothing' : redact(text)} is not a proxy; write http://HOST:PORT`);
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  const login = url.username === '' ? '' : `${url.username}${url.password === '' ? '' : `:${url.password}`}@`;
  const written = `${url.protocol}//${login}${url.hostname}:${port}`;
  return { url: written, host: url.hostname.replace(/^\[|\]$/g, ''), port, by, instance };
}

function parsed(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  return /^(?:https?|socks(?:4a?|5h?)):$/.test(url.protocol) && url.hostname !== '' ? url : undefined;
}

const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host);

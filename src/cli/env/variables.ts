import type { MeantProxy } from '../meant-proxy.ts';

/** Where no proxy is needed. Short, since the grammars of clients differ: the routes of the proxy decide the rest. */
export const LOCAL_HOSTS = ['localhost', '127.0.0.1', '::1'] as const;

/** A variable for programs that use a proxy. */
export interface Variable {
  readonly name: string;
  readonly value: string;
}

/**
 * The variables that clients read. Both spellings, since curl reads `http_proxy` in small letters alone and other clients
 * capitals alone; Windows knows one. Exceptions that the user has are kept.
 */
export function proxyVariables(
  { url }: Pick<MeantProxy, 'url'>,
  environment: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform = process.platform,
): Variable[] {
  const exceptions = exceptionsWith(environment.no_proxy || environment.NO_PROXY || '');
  const both = (name: string, value: string): Variable[] =>
    platform === 'win32'
      ? [{ name: name.toUpperCase(), value }]
      : [
          { name, value },
          { name: name.toUpperCase(), value },
        ];
  return [
    ...both('http_proxy', url),
    ...both('https_proxy', url),
    ...both('no_proxy', exceptions),
    // Node 22.21 and 24.5 read the variables above when this is set; Yarn 2 and later reads these alone.
    { name: 'NODE_USE_ENV_PROXY', value: '1' },
    { name: 'YARN_HTTP_PROXY', value: url },
    { name: 'YARN_HTTPS_PROXY', value: url },
  ];
}

function exceptionsWith(given: string): string {
  const own = given.split(/[\s,]+/).filter((entry) => entry !== '');
  return [...new Set([...LOCAL_HOSTS, ...own])].join(',');
}

/** Java reads no variable but this one; every JVM then says so on standard error. What it holds already is kept. */
export function javaVariable(
  { host, port }: Pick<MeantProxy, 'host' | 'port'>,
  environment: Readonly<Record<string, string | undefined>>,
): Variable {
  const options = javaProperties({ host, port }).map(({ name, value }) => `-D${name}=${value}`);
  const before = environment.JAVA_TOOL_OPTIONS;
  return { name: 'JAVA_TOOL_OPTIONS', value: [...(before ? [before] : []), ...options].join(' ') };
}

/** System properties of the JVM; `https` reads the exceptions of `http`. */
export const javaProperties = ({ host, port }: Pick<MeantProxy, 'host' | 'port'>): Variable[] => [
  { name: 'http.proxyHost', value: host },
  { name: 'http.proxyPort', value: String(port) },
  { name: 'https.proxyHost', value: host },
  { name: 'https.proxyPort', value: String(port) },
  { name: 'http.nonProxyHosts', value: JAVA_LOCAL_HOSTS },
];

export const JAVA_LOCAL_HOSTS = 'localhost|127.*|[::1]';

import type { Listen } from './options.ts';

/** What the clients of a listener speak, and what they must show, in words. */
export function spokenText({ protocol, settings = {} }: Pick<Listen, 'protocol' | 'settings'>): string {
  const { tls, h2c, proxyProtocol, negotiate } = settings;
  const clear = h2c === true ? 'HTTP/1.1 and HTTP/2' : 'HTTP/1.1';
  const spoken: Readonly<Record<string, string>> = {
    http: clear,
    https: 'HTTP/1.1 and HTTP/2 in TLS',
    socks5: 'SOCKS5 and SOCKS4',
    any: `${clear.replace(' and ', ', ')} and SOCKS${tls === undefined ? '' : ', in TLS HTTP/1.1 and HTTP/2'}`,
  };
  const certificate = tls?.clientCert === 'optional' ? 'a certificate if the client has one' : 'a certificate';
  return [
    spoken[protocol] ?? protocol,
    ...(tls?.clientCa === undefined ? [] : [`with ${certificate}`]),
    ...(negotiate === undefined ? [] : ['with a Kerberos ticket']),
    ...(proxyProtocol === undefined ? [] : ['behind a PROXY header']),
  ].join(', ');
}

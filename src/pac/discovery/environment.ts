import { splitNoProxy } from '../../protocol/matching/no-proxy.ts';
import { proxyText } from './notation.ts';
import { NO_SETTING, type SystemSetting } from './setting.ts';
import type { SystemWorld } from './world.ts';

/** `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, as curl reads them: the lower-case name first. */
export function environmentSetting(environment: SystemWorld['environment']): SystemSetting {
  const named = (name: string) => environment[name] ?? environment[name.toUpperCase()];
  // In a CGI program HTTP_PROXY is the field `Proxy` of the client's request (httpoxy).
  const isCgi = environment.REQUEST_METHOD !== undefined;
  const all = proxyText(named('all_proxy'));
  const http = proxyText(isCgi ? environment.http_proxy : named('http_proxy')) ?? all;
  const https = proxyText(named('https_proxy')) ?? all;
  if (http === undefined && https === undefined) return NO_SETTING;
  const noProxy = splitNoProxy(named('no_proxy') ?? '');
  return { kind: 'proxies', proxies: { source: 'environment', http, https, noProxy }, wpad: 'unmentioned' };
}

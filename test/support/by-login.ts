import { urlCredentials } from '../../src/credentials/url-credentials.ts';
import { ProxyAuthCache } from '../../src/upstream-auth/proxy-auth-cache.ts';
import { UpstreamAuth } from '../../src/upstream-auth/upstream-auth.ts';
import { systemClock } from '../../src/util/clock.ts';

/** Authentication to upstream proxies with the login of their URL only. */
export function byLogin(): UpstreamAuth {
  const memory = new ProxyAuthCache(systemClock);
  return new UpstreamAuth({
    credentials: urlCredentials(),
    cache: memory,
    kerberos: undefined,
    workstation: '',
    clock: systemClock,
  });
}

import { startProxy } from '../../app/start.ts';
import type { Config } from '../../config/config.ts';
import { resolveOptions } from '../../config/schema.ts';
import type { Exporter } from '../../contracts/event.ts';
import type { Secret } from '../../contracts/secret.ts';
import type { Keyring } from '../../credentials/keyring/keyring.ts';
import { formatRoute } from '../../protocol/routes/route-text.ts';
import { systemClock } from '../../util/clock.ts';
import { probeThrough } from '../doctor/probe.ts';
import type { LoginTask } from './login-account.ts';
import { nonInteractiveSources } from './prompt-accounts.ts';

/** What an upstream proxy says of a password. */
export type LoginVerdict =
  | { readonly is: 'accepted'; readonly proxy: string }
  | { readonly is: 'rejected'; readonly proxy: string }
  /** No upstream proxy is known, or it asks for no password: there is nothing to say. */
  | { readonly is: 'not-asked' }
  | { readonly is: 'unreachable'; readonly proxy: string };

/** Any website that an office lets its people reach. */
const URL_TO_ASK_FOR = 'https://example.com/';
/** A proxy that is there answers sooner, and a person waits. */
const CONNECT_MS = 5_000;

/**
 * Asks an upstream proxy once whether it accepts a password, as a proxy with these settings would: a proxy is started for
 * it. No ticket and no earlier verdict has a say, since a person has just typed the password.
 */
export async function tryLogin(task: LoginTask, secret: Secret, stateDir: string): Promise<LoginVerdict> {
  const statuses: string[] = [];
  let proxyName: string | undefined;
  const exporter: Exporter = {
    name: 'login',
    observe(event) {
      if (event.type !== 'routed') return;
      const [first] = event.routes;
      if (first?.via === 'proxies') proxyName = formatRoute(first);
    },
    [Symbol.asyncDispose]: async () => {},
  };
  const proxy = await startProxy(configFor(task), {
    exporters: [exporter],
    tap(event) {
      if (event.type === 'head' && event.hop === 'upstream' && event.sent === 'by-peer') {
        statuses.push(event.head.split(' ')[1] ?? '');
      }
    },
    credentials: {
      ...nonInteractiveSources(withoutAccounts(task.environment), stateDir),
      keyring: keyringOf(secret),
      loginFile: undefined,
      startedMs: systemClock.wallMs(),
      prompted: new Map(),
    },
  });
  try {
    const url = new URL(URL_TO_ASK_FOR);
    const answer = await proxy.why({ url: url.href, from: '127.0.0.1' });
    // Nothing is sent to a website that would be reached directly.
    if ('problem' in answer || !leadsToProxy(JSON.parse(answer.report))) return { is: 'not-asked' };
    const result = await probeThrough(new URL(proxy.url), url);
    const name = proxyName ?? 'the upstream proxy';
    if (result.kind === 'refused' && result.code === 'upstream_auth_failed') return { is: 'rejected', proxy: name };
    if (statuses.length === 0) return { is: 'unreachable', proxy: name };
    return statuses.includes('407') ? { is: 'accepted', proxy: name } : { is: 'not-asked' };
  } finally {
    await proxy.close({ drainMs: 0 });
  }
}

function configFor({ config, name, account }: LoginTask): Config {
  const { listen, clients, limits } = resolveOptions({ listen: '127.0.0.1:0' });
  const own = { user: account.user, domain: account.domain, from: { kind: 'keyring' } } as const;
  return {
    ...config,
    listen,
    clients,
    limits,
    access: [],
    log: { ...config.log, format: 'off' },
    timeouts: { ...config.timeouts, connectMs: Math.min(config.timeouts.connectMs, CONNECT_MS) },
    credentials: { ...config.credentials, kerberos: false, accounts: { ...config.credentials.accounts, [name]: own } },
  };
}

/** `viaduct login` is about the password in the keyring; one in a variable would come first. */
const withoutAccounts = ({ NTLM_CREDENTIALS: _, BASIC_CREDENTIALS: __, ...rest }: LoginTask['environment']) => rest;

const keyringOf = (secret: Secret): Keyring => ({
  find: async () => ({ at: 'found', secret }),
  store: async () => ({ at: 'unavailable', why: 'it is for this run only' }),
  remove: async () => ({ at: 'unavailable', why: 'it is for this run only' }),
});

function leadsToProxy(report: { routing?: { routes?: readonly { route?: { via?: string } }[] } }): boolean {
  return report.routing?.routes?.[0]?.route?.via === 'proxies';
}

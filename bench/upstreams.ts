import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConfigInput } from '../src/config/schema.ts';
import { ACCOUNTS } from '../test/lab/accounts.ts';
import { startKdc } from '../test/lab/kdc.ts';
import { noLab } from '../test/lab/private.ts';
import type { SquidUpstream } from '../test/lab/squid-upstream.ts';
import { startDigestUpstream, startNegotiateUpstream, startNtlmUpstream } from '../test/lab/upstream-proxies.ts';
import { startWinbind } from '../test/lab/winbind.ts';
import { selfSigned } from '../test/support/certificate.ts';
import { startInstance } from './instance.ts';
import { hashed } from './password.ts';
import type { Peer } from './peer.ts';
import { viaductListening, viaductOf } from './peers/viaduct.ts';

/** An upstream proxy that runs, and what a Viaduct needs to go through it. */
interface Upstream extends AsyncDisposable {
  readonly config: ConfigInput;
  readonly environment?: Readonly<Record<string, string>>;
}

/** What a tunnel may lead through. One line of a table each. */
export interface UpstreamKind {
  readonly name: string;
  /** What moves the bytes of its tunnels: the thread of the addon wherever both ends are plain sockets. */
  readonly relay: 'native' | 'portable';
  /** Why it cannot be started here; false when it can. */
  whyNot(): string | false;
  start(): Promise<Upstream>;
}

const { user, password } = ACCOUNTS.alice;
const LOGIN = { credentials: { default: { user, from: 'env:BENCH_PASSWORD' } } } as const;
const environment = { BENCH_PASSWORD: password };
const nothing = { [Symbol.asyncDispose]: async () => undefined };
const anywhere = (): false => false;

/** Another Viaduct, in a process of its own: it needs no package, and is the fastest upstream proxy at hand. */
async function anotherViaduct(scheme: string, peer: Peer, config: ConfigInput = {}): Promise<Upstream> {
  const { port, [Symbol.asyncDispose]: end } = await startInstance(peer);
  const routes = { proxy: `${scheme}://127.0.0.1:${port}` };
  return { config: { ...config, routes }, environment, [Symbol.asyncDispose]: end };
}

async function overTls(): Promise<Upstream> {
  const { cert, key } = selfSigned(['127.0.0.1']);
  let ca = '';
  const peer = viaductListening(({ folder, port }) => {
    const tls = { cert: join(folder, 'own.pem'), key: join(folder, 'own.key') };
    writeFileSync(tls.cert, cert);
    writeFileSync(tls.key, key);
    ca = tls.cert;
    return { url: `https://127.0.0.1:${port}`, tls };
  });
  const started = await anotherViaduct('https', peer);
  return { ...started, config: { ...started.config, upstreams: [{ host: '127.0.0.1', ca }] } };
}

/** A Squid of the lab, with what it needs itself. */
async function squidOf(
  start: (needs: AsyncDisposableStack) => Promise<{ squid: SquidUpstream } & Omit<Upstream, keyof AsyncDisposable>>,
): Promise<Upstream> {
  await using needs = new AsyncDisposableStack();
  const { squid, config, environment: needed } = await start(needs);
  needs.use(squid);
  const all = needs.move();
  // Tickets are for this name, and not for an address.
  const routes = { proxy: `http://localhost:${squid.port}` };
  return {
    config: { ...config, routes },
    environment: { ...environment, ...needed },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** In the order of the table; `direct` is what the others are compared with. */
export const UPSTREAMS: readonly UpstreamKind[] = [
  { name: 'direct', relay: 'native', whyNot: anywhere, start: async () => ({ config: {}, ...nothing }) },
  { name: 'http', relay: 'native', whyNot: anywhere, start: () => anotherViaduct('http', viaductOf({})) },
  {
    name: 'Basic',
    relay: 'native',
    whyNot: anywhere,
    start: () => anotherViaduct('http', viaductOf({ clients: { users: { [user]: hashed(password) } } }), LOGIN),
  },
  {
    name: 'Digest',
    relay: 'native',
    whyNot: noLab,
    start: () => squidOf(async () => ({ squid: await startDigestUpstream(), config: LOGIN })),
  },
  {
    name: 'NTLM',
    relay: 'native',
    whyNot: noLab,
    start: () =>
      squidOf(async (needs) => {
        const winbind = needs.use(await startWinbind());
        const account = { ...LOGIN.credentials.default, domain: winbind.domain };
        return { squid: await startNtlmUpstream(winbind), config: { credentials: { default: account } } };
      }),
  },
  {
    name: 'Kerberos',
    relay: 'native',
    whyNot: noLab,
    start: () =>
      squidOf(async (needs) => {
        const kdc = needs.use(await startKdc());
        return { squid: await startNegotiateUpstream(kdc), config: {}, environment: kdc.good };
      }),
  },
  { name: 'https', relay: 'portable', whyNot: anywhere, start: overTls },
  {
    name: 'SOCKS5',
    relay: 'native',
    whyNot: anywhere,
    start: () =>
      anotherViaduct(
        'socks5',
        viaductListening(({ port }) => `socks5://127.0.0.1:${port}`),
      ),
  },
];

import { hostname } from 'node:os';
import { isExposed } from '../clients/options.ts';
import type { Config } from '../config/config.ts';
import type { SecureHop } from '../contracts/dialing.ts';
import type { Authenticator, ClientFilter } from '../contracts/identity.ts';
import type { Policy } from '../contracts/policy.ts';
import type { ClientInfo } from '../contracts/request.ts';
import type { RespondHook } from '../contracts/respond-hook.ts';
import type { Router } from '../contracts/routing.ts';
import type { TunnelHook } from '../contracts/tunnel-hook.ts';
import { credentialStore } from '../credentials/credential-store.ts';
import { clientAuthenticator } from '../identity/clients.ts';
import { buildUsers } from '../identity/htpasswd.ts';
import { bothFilters, isSameUserInForce, sameUserFilter } from '../identity/same-user.ts';
import { buildAddressFilter } from '../identity/source-address.ts';
import type { LimitHook } from '../limits/hook.ts';
import { isUnlimited } from '../limits/limits.ts';
import type { StoreClient } from '../limits/store/store-client.ts';
import { wrappedPac } from '../pac/wrapper.ts';
import type { ProxyIdentity, Services } from '../pipeline/services.ts';
import { buildAddressGuard } from '../policy/address-guard.ts';
import { policyChain } from '../policy/chain.ts';
import { localNames } from '../policy/local-names.ts';
import type { Exposure } from '../policy/options.ts';
import { buildAccessPolicy } from '../policy/rules.ts';
import { RESPONSE_HEAD_LIMITS } from '../protocol/http1/head-buffer.ts';
import { bodyMover } from '../relay/body-transfer.ts';
import { chooseRelay, chooseSockets } from '../relay/choose-relay.ts';
import { buildRouter } from '../routing/chain.ts';
import { RouteConnector } from '../upstream/connector.ts';
import { createRouteDialer } from '../upstream/dial/create-route-dialer.ts';
import { epollTcp, openTcp } from '../upstream/dial/tcp.ts';
import { DirectFallback } from '../upstream/direct-fallback.ts';
import { Failover } from '../upstream/failover.ts';
import { createProbe, type Probe } from '../upstream/health/probe.ts';
import { RouteExchange } from '../upstream/http/exchange.ts';
import { tlsToProxies } from '../upstream/tls/tls-to-proxies.ts';
import { tlsSettings } from '../upstream/tls/trust.ts';
import { workstationName } from '../upstream-auth/schemes/ntlm.ts';
import { UpstreamAuth } from '../upstream-auth/upstream-auth.ts';
import { DisposerStack } from '../util/disposer-stack.ts';
import { inSlices, type Sliced } from '../util/slices.ts';
import { noticeOfFailure } from './disposal-notice.ts';
import type { SharedServices } from './shared-services.ts';
import { UseCount } from './use-count.ts';

/** What a program that embeds the proxy brings, beside or instead of what the configuration describes. */
export interface Overrides {
  /**
   * Called in this order after `clients.users`, for a client that no entry there has recognised. A function builds one for
   * each generation, which disposes it when its last request has ended.
   */
  readonly authenticators?: readonly (Authenticator | BuildAuthenticator)[] | undefined;
  /** Called after the rules of the configuration have allowed a request. */
  readonly policy?: Policy | undefined;
  readonly router?: Router | undefined;
  /** Called when the limits of the configuration have let a request in. */
  readonly limit?: LimitHook | undefined;
  /** Connects to the store of the limits, in place of `limits.store`. */
  readonly limitStore?: StoreClient | undefined;
  readonly respond?: RespondHook | undefined;
  readonly tunnel?: TunnelHook | undefined;
}

/** Builds one that holds connections or watches, for example to a directory server. */
export type BuildAuthenticator = (config: Config) => Authenticator & (Disposable | AsyncDisposable);

/**
 * All that one configuration builds. It never changes: a reload builds the next one and swaps a reference. Requests hold
 * the generation in which they began, so its parts are disposed when the last of them has ended, which for a tunnel may be
 * days after the reload.
 */
export class Generation implements AsyncDisposable {
  readonly services: Services;
  readonly #probe: Probe;
  readonly #secure: SecureHop;
  readonly #uses: UseCount;
  readonly #parts: DisposerStack;

  constructor({ services, probe, secure }: BuiltServices, uses: UseCount, parts: DisposerStack) {
    this.services = services;
    this.#probe = probe;
    this.#secure = secure;
    this.#uses = uses;
    this.#parts = parts;
  }

  readonly probe: Probe = (hops, signal) => this.#use(() => this.#probe(hops, signal));

  readonly secure: SecureHop = (connection, hop, within, use) =>
    this.#use(() => this.#secure(connection, hop, within, use));

  /** To be called when no further request begins in it: disposes its parts once the last one has ended. */
  async retire(): Promise<void> {
    await this.#uses.unused();
    await this[Symbol.asyncDispose]();
  }

  /** Disposes its parts now. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#parts[Symbol.asyncDispose]();
  }

  /** As a request does. */
  async #use<T>(task: () => Promise<T>): Promise<T> {
    this.#uses.acquire();
    try {
      return await task();
    } finally {
      this.#uses.release();
    }
  }
}

/** Rejects, and leaves nothing of it behind, when one of its parts cannot be built. Takes turns with requests. */
export async function createGeneration(
  config: Config,
  overrides: Overrides,
  shared: SharedServices,
): Promise<Generation> {
  await using parts = new DisposerStack(noticeOfFailure(shared.observe));
  const uses = new UseCount();
  const built = await inSlices(buildServices(config, overrides, shared, { uses, parts }), shared.clock);
  return new Generation(built, uses, parts.move());
}

interface BuiltServices {
  readonly services: Services;
  readonly probe: Probe;
  readonly secure: SecureHop;
}

/** Of the generation that is being built. */
interface Ownership {
  readonly uses: UseCount;
  /** Takes over what holds connections, timers or watches, so that it ends with the generation, or with a failed build. */
  readonly parts: DisposerStack;
}

function* buildServices(
  config: Config,
  overrides: Overrides,
  shared: SharedServices,
  { uses, parts }: Ownership,
): Sliced<BuiltServices> {
  const { clock, observe, tap } = shared;
  const { timeouts } = config;
  const { connectMs, headMs } = timeouts;
  const exposure: Exposure = config.listen.some(isExposed) ? 'exposed' : 'local';
  const rules = yield* buildAccessPolicy(config.access, { exposure, clock });
  const auth = upstreamAuth(config, shared);
  const tls = tlsSettings(config.upstreams);
  const epollSockets = chooseSockets(config.relay);
  const open = epollSockets === undefined ? openTcp : epollTcp(epollSockets);
  const dialer = createRouteDialer({
    resolver: shared.resolver,
    dialled: shared.dialled,
    clock,
    connectMs,
    headMs,
    tls,
    auth,
    open,
    sessions: shared.sessions,
  });
  const failover = new Failover(shared.health, clock);
  const fallback = new DirectFallback(failover, clock);
  const guard = yield* buildAddressGuard(config.guard, exposure, shared.listenAddresses);
  const bridgeGuard = yield* buildAddressGuard(config.guard, 'bridge', shared.listenAddresses);
  let pseudonym: string | undefined;
  const identity: ProxyIdentity = {
    name: config.name,
    get pseudonym() {
      pseudonym ??= `${config.name}-${shared.suffix}`;
      return pseudonym;
    },
  };
  const addressFilter = config.clients.allow && (yield* buildAddressFilter(config.clients.allow));
  const hasAccounts = Object.keys(config.credentials.accounts).length > 0;
  const isSameUser = isSameUserInForce({ sameUser: config.clients.sameUser, hasAccounts });
  const pac = config.routes.pac === 'none' ? undefined : shared.pacService.router;
  const services: Services = {
    lifetime: uses,
    clientFilter: bothFilters(addressFilter, isSameUser ? sameUserFilter() : undefined),
    authenticator: yield* buildAuthenticator(config, addressFilter, overrides, { shared, parts }),
    policy: overrides.policy === undefined ? rules : policyChain([rules, overrides.policy]),
    guard,
    bridgeGuard,
    limiter: shared.limiter,
    router: overrides.router ?? (yield* buildRouter(config.routes, pac, () => shared.mode.state.mode)),
    connector: new RouteConnector(dialer, failover, fallback),
    resolver: shared.resolver,
    exchange: new RouteExchange({
      dialer,
      failover,
      fallback,
      auth,
      pool: shared.pool,
      limits: RESPONSE_HEAD_LIMITS,
      headMs,
    }),
    relay: chooseRelay(config.relay, shared.idle, clock),
    bodies: bodyMover(shared.idle),
    clock,
    observe,
    tap,
    identity,
    pages: {
      isOurs: localNames(
        shared.listenAddresses,
        config.listen.flatMap((listen) => (listen.kind === 'tcp' ? [listen.host] : [])),
      ),
      pac: (proxy, by) => wrappedPac(shared.pacService.state, proxy, by),
    },
    health: shared.health,
    accounts: auth,
    mode: () => shared.mode.state,
    timeouts,
    respond: overrides.respond,
    tunnel: overrides.tunnel,
    decisions: isSteady(config, overrides, isSameUser) ? shared.decisions : 'each',
  };
  return {
    services,
    probe: createProbe(dialer, guard, clock),
    secure: tlsToProxies({ settingsOf: tls, connectMs, clock }),
  };
}

/** Whether a decision may be repeated: it depends on the client, the head of its request and this configuration alone. */
function isSteady(
  { access, clients, decisions, listen, limits }: Config,
  overrides: Overrides,
  isSameUser: boolean,
): boolean {
  const hasHook = Object.values(overrides).some((one) => one !== undefined);
  const hasAccounts = clients.users !== undefined || listen.some(({ settings }) => settings?.negotiate !== undefined);
  const hasTimes = access.some(({ allow, deny }) => (allow ?? deny)?.times !== undefined);
  return decisions === 'repeat' && !hasHook && !hasAccounts && !isSameUser && !hasTimes && isUnlimited(limits);
}

function* buildAuthenticator(
  config: Config,
  filter: ClientFilter | undefined,
  { authenticators = [] }: Overrides,
  { shared, parts }: { readonly shared: SharedServices; readonly parts: DisposerStack },
): Sliced<Authenticator> {
  const { clients } = config;
  const users = clients.users === undefined ? undefined : yield* buildUsers(clients.users);
  const others = authenticators.map((one) =>
    typeof one === 'function' ? parts.use('authenticator', one(config)) : one,
  );
  const asksForTickets = config.listen.some(({ settings }) => settings?.negotiate !== undefined);
  const negotiate = asksForTickets
    ? {
        acceptor: shared.acceptor,
        settingsOf: ({ listener }: ClientInfo) => shared.listenSettings(listener)?.negotiate,
      }
    : undefined;
  return clientAuthenticator({ filter, users, negotiate, others }, shared);
}

function upstreamAuth(
  { credentials, upstreams }: Config,
  { upstreamAuth: shared, clock }: SharedServices,
): UpstreamAuth {
  return new UpstreamAuth({
    credentials: credentialStore({ ...credentials, upstreams }, shared.sources),
    cache: shared.authCache,
    kerberos: shared.kerberos,
    sspi: shared.sspi,
    workstation: workstationName(hostname()),
    clock,
  });
}

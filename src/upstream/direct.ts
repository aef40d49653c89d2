import type { Clock } from '../core/clock.ts';
import type { DialScope, Resolver } from '../core/contracts.ts';
import { deadline } from '../core/deadline.ts';
import { asProxyError, ProxyError } from '../core/failure.ts';
import type { Authority } from '../core/request.ts';
import type { Connection, NamedBy } from '../core/stages.ts';
import type { StopSignal } from '../core/stop.ts';
import { interleave, race } from './race.ts';
import { type OpenTcp, openTcp } from './tcp.ts';

export interface DirectOptions {
  readonly resolver: Resolver;
  readonly clock: Clock;
  /** For the lookup, and again for all attempts together, in milliseconds. */
  readonly connectMs: number;
  /** Default: a connection for a relay. */
  readonly open?: OpenTcp;
}

/** Dials from this machine. The guard judges every resolved address, and exactly what it allowed is dialled. */
export class DirectDialer {
  readonly #options: DirectOptions;

  constructor(options: DirectOptions) {
    this.#options = options;
  }

  /** `namedBy` is set when `to` is a proxy: one that the user configured may be anywhere but here. */
  async dial(to: Authority, within: DialScope, namedBy?: NamedBy): Promise<Connection> {
    const addresses = interleave(await this.addressesOf(to, within, namedBy));
    using limit = deadline(within.signal, this.#options.connectMs, 'connect_timeout', `connecting to ${to.host}`);
    return await race({
      addresses,
      signal: limit.signal,
      open: (address, attempt, signal) => this.#open(address, attempt, signal, to, within),
    });
  }

  /** The addresses of `to` that may be dialled. Rejects when it has none, or none that the guard allows. */
  async addressesOf(to: Authority, within: DialScope, namedBy?: NamedBy): Promise<readonly string[]> {
    const found = this.#options.resolver.known(to.host) ?? (await this.#resolve(to, within));
    return allowed(found, to, within, namedBy);
  }

  async #resolve(to: Authority, { id, signal, observe }: DialScope): Promise<readonly string[]> {
    const { resolver, clock, connectMs } = this.#options;
    const startedMs = clock.now();
    using limit = deadline(signal, connectMs, 'dns_timeout', `resolving ${to.host}`);
    const addresses = await resolver.resolve(to.host, limit.signal);
    observe({ type: 'dns', id, host: to.host, addresses, ms: clock.now() - startedMs });
    return addresses;
  }

  async #open(
    address: string,
    attempt: number,
    signal: StopSignal,
    to: Authority,
    { id, observe }: DialScope,
  ): Promise<Connection> {
    const { clock, open = openTcp } = this.#options;
    const startedMs = clock.now();
    observe({ type: 'dialing', id, to, address, attempt });
    try {
      const connection = await open(address, to.port, signal);
      observe({ type: 'connected', id, address, ms: clock.now() - startedMs });
      return connection;
    } catch (error) {
      observe({ type: 'attempt-failed', id, address, reason: asProxyError(error).code, ms: clock.now() - startedMs });
      throw error;
    }
  }
}

/** The addresses that may be dialled; a name with a good and a bad one is reached through the good one only. */
function allowed(
  addresses: readonly string[],
  to: Authority,
  { guard }: DialScope,
  namedBy: NamedBy | undefined,
): readonly string[] {
  const judge = (address: string) =>
    namedBy === 'user' ? guard.checkConfigured(address, to.port) : guard.check(address, to.port);
  const decisions = addresses.map((address) => ({ address, decision: judge(address) }));
  const good = decisions.filter(({ decision }) => decision.verdict === 'allow').map(({ address }) => address);
  if (good.length > 0) return good;
  for (const { address, decision } of decisions) {
    if (decision.verdict === 'deny')
      throw new ProxyError(decision.code, `${address} port ${to.port}: ${decision.rule}`);
  }
  throw new ProxyError('dns_failed', `${to.host} has no address`);
}

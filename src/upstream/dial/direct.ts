import { isIP } from 'node:net';
import { deadline, unlessAborted } from '../../contracts/deadline.ts';
import type { DialScope } from '../../contracts/dialing.ts';
import { asProxyError, ProxyError } from '../../contracts/failure.ts';
import type { OutboundTerms } from '../../contracts/outbound.ts';
import type { Authority } from '../../contracts/request.ts';
import type { Resolver } from '../../contracts/resolver.ts';
import type { Connection, NamedBy } from '../../contracts/stages.ts';
import type { Clock } from '../../util/clock.ts';
import { andThen, type MaybeAsync } from '../../util/maybe-async.ts';
import type { StopSignal } from '../../util/stop.ts';
import { lookupFailure } from '../node-failure.ts';
import type { DialledConnections } from './dialled-connections.ts';
import { LocalAddresses, localAddresses } from './local-addresses.ts';
import { interleave, race } from './race.ts';
import { type OpenTcp, openTcp } from './tcp.ts';

export interface DirectOptions {
  readonly resolver: Resolver;
  readonly clock: Clock;
  /** For the lookup, and again for all attempts together, in milliseconds. */
  readonly connectMs: number;
  /** Default: a connection for a relay. */
  readonly open?: OpenTcp;
  /** Counts what is dialled. */
  readonly dialled?: DialledConnections | undefined;
}

/** Dials from this machine. The guard checks every resolved address, and exactly what it allowed is dialled. */
export class DirectDialer {
  readonly #options: DirectOptions;
  readonly #local = new LocalAddresses();

  constructor(options: DirectOptions) {
    this.#options = options;
  }

  /** `namedBy` is set when `to` is a proxy: one that the user configured may have any address but our own. */
  async dial(to: Authority, within: DialScope, namedBy?: NamedBy): Promise<Connection> {
    const found = this.#allowedAddresses(to, within, namedBy);
    const addresses = interleave(found instanceof Promise ? await found : found);
    const { connectMs = this.#options.connectMs } = within.terms ?? {};
    using limit = deadline(within, connectMs, 'connect_timeout', `connecting to ${to.host}`);
    return await race({
      addresses,
      signal: limit.signal,
      clock: within.clock,
      open: (address, attempt, signal) => this.#open(address, attempt, signal, to, within),
    });
  }

  /** The addresses of `to` that may be dialled. Rejects when it has none, or none that the guard allows. */
  async addressesOf(to: Authority, within: DialScope, namedBy?: NamedBy): Promise<readonly string[]> {
    return this.#allowedAddresses(to, within, namedBy);
  }

  #allowedAddresses(to: Authority, within: DialScope, namedBy: NamedBy | undefined): MaybeAsync<readonly string[]> {
    const isOurs = within.terms?.lookup === undefined || isIP(to.host) !== 0;
    const known = isOurs ? this.#options.resolver.known(to.host) : undefined;
    return andThen(known ?? this.#resolve(to, within), (found) =>
      allowed(dialable(found, to, within.terms), to, within, namedBy),
    );
  }

  async #resolve(to: Authority, within: DialScope): Promise<readonly string[]> {
    const { id, client, observe, terms } = within;
    const { resolver, clock } = this.#options;
    const { connectMs = this.#options.connectMs } = terms ?? {};
    const startedMs = clock.now();
    using limit = deadline(within, connectMs, 'dns_timeout', `resolving ${to.host}`);
    const addresses =
      terms?.lookup === undefined
        ? await resolver.resolve(to.host, limit.signal, client)
        : await resolvedBy(terms.lookup, to.host, limit.signal);
    observe({ type: 'dns', id, host: to.host, addresses, ms: clock.now() - startedMs });
    return addresses;
  }

  async #open(
    address: string,
    attempt: number,
    signal: StopSignal,
    to: Authority,
    { id, observe, terms }: DialScope,
  ): Promise<Connection> {
    const { clock, open = openTcp, dialled } = this.#options;
    const from = terms?.from && this.#local.next(terms.from, address);
    const startedMs = clock.now();
    observe({ type: 'dialing', id, to, address, attempt });
    if (dialled !== undefined) dialled.dialling += 1;
    try {
      const connection = await open(address, to.port, signal, from);
      dialled?.add(connection, id);
      observe({ type: 'connected', id, address, ms: clock.now() - startedMs });
      return connection;
    } catch (error) {
      observe({ type: 'attempt-failed', id, address, reason: asProxyError(error).code, ms: clock.now() - startedMs });
      throw error;
    } finally {
      if (dialled !== undefined) dialled.dialling -= 1;
    }
  }
}

/** The addresses of the family that is wanted, and for which there is a local address. */
function dialable(addresses: readonly string[], to: Authority, terms: OutboundTerms | undefined): readonly string[] {
  const { family, from } = terms ?? {};
  if (family === undefined && from === undefined) return addresses;
  const wanted = addresses.filter((address) => family === undefined || isIP(address) === family);
  if (wanted.length === 0) throw new ProxyError('dns_failed', `${to.host} has no IPv${family} address`);
  const good = from === undefined ? wanted : wanted.filter((address) => localAddresses(from, address).length > 0);
  if (good.length > 0) return good;
  throw new ProxyError(
    'host_unreachable',
    `none of ${from?.join(', ')} is an address of this machine to reach ${to.host}`,
  );
}

async function resolvedBy(
  lookup: (host: string) => Promise<readonly string[]>,
  host: string,
  signal: StopSignal,
): Promise<readonly string[]> {
  try {
    const addresses = await unlessAborted(lookup(host), signal);
    if (addresses.length > 0) return addresses;
  } catch (error) {
    if (signal.aborted) throw error;
    throw lookupFailure(error, `resolving ${host}`);
  }
  throw new ProxyError('dns_failed', `${host} has no address`);
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

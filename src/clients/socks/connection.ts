import { asProxyError, ProxyError } from '../../contracts/failure.ts';
import { requiresLogin } from '../../contracts/identity.ts';
import type { ClientCredentials, ClientInfo, TunnelRequest } from '../../contracts/request.ts';
import { Secret } from '../../contracts/secret.ts';
import type { Connection } from '../../contracts/stages.ts';
import type { Ownership, Wire } from '../../contracts/wire.ts';
import { handleTunnel } from '../../pipeline/handle.ts';
import { recordRefused } from '../../pipeline/record-refused.ts';
import { identifyUser } from '../../pipeline/steps.ts';
import { formatAuthority } from '../../protocol/addresses/authority.ts';
import type { Socks5Login } from '../../protocol/socks/socks5-server.ts';
import { NO_SLOT } from '../../util/slot-list.ts';
import { Stop } from '../../util/stop.ts';
import type { AcceptedClient, ClientConnection, ClientPlace, EvictedClient } from '../client-protocol.ts';
import { ClientSocket, type SocketUser } from '../client-socket.ts';
import type { ClientTunnel } from '../client-tunnel.ts';
import type { EndedClient } from '../ended-clients.ts';
import { PendingBytes } from '../pending-bytes.ts';
import type { SocksContext } from './context.ts';
import { Negotiation, type NegotiationStep } from './negotiation.ts';
import { SocksResponder, type SocksResponderHost, sentOf } from './responder.ts';
import type { SocksVersion } from './version.ts';

/** After a refusal we read on a little, so that a reset does not take it from the client. */
const LINGER_MS = 1_000;
/** All messages up to the request may take this many times the silence that is allowed between two bytes. */
const TOTAL_FACTOR = 6;

type State =
  | { readonly at: 'negotiating'; readonly negotiation: Negotiation }
  /** A login is being checked; `stop` aborts when the client goes away. */
  | { readonly at: 'checking'; readonly negotiation: Negotiation; readonly stop: Stop }
  | SocksResponder
  | ClientTunnel
  /** Nothing more is served; the client has a moment to read its refusal. */
  | { readonly at: 'closing' }
  | { readonly at: 'gone' };

/** One client connection in SOCKS: a negotiation, one request, and its tunnel. */
export class SocksConnection implements ClientConnection, SocketUser, SocksResponderHost, EndedClient {
  slot: number = NO_SLOT;
  silentSinceMs = 0;
  readonly wire: Wire;
  readonly #client: ClientInfo;
  readonly #context: SocksContext;
  readonly #place: ClientPlace;
  readonly #socket: ClientSocket;
  #state: State = { at: 'negotiating', negotiation: new Negotiation() };
  /** What the client has sent for its tunnel already. */
  readonly #early = new PendingBytes();
  #touched = false;
  #sinceMs: number | undefined;
  #hasEnded = false;
  /** The same for the login and for the request that follows: what was found out about them holds for both. */
  #credentials: ClientCredentials | undefined;

  constructor(accepted: AcceptedClient, context: SocksContext) {
    this.wire = accepted.wire;
    this.#client = accepted.client;
    this.#context = context;
    this.#place = accepted.place;
    this.#socket = new ClientSocket(accepted, this, context);
    this.#socket.begin();
  }

  get active(): number {
    const state = this.#state;
    const isActive =
      state.at === 'checking' ||
      state.at === 'request' ||
      (state.at === 'handed-off' && state.isOpen) ||
      (state.at === 'negotiating' && state.negotiation.hasBegun);
    return isActive ? 1 : 0;
  }

  close(): void {
    if (this.active === 0) this.wire.stream.destroy();
  }

  abort(why: ProxyError): void {
    const state = this.#state;
    if (state.at === 'request' && !state.headersSent) return state.stop(why);
    if (state.at === 'handed-off') state.signal.abort(why);
    if (state.at === 'checking') state.stop.abort(why);
    if (!this.wire.stream.destroyed) this.wire.stream.destroy();
  }

  evict(why: ProxyError): EvictedClient {
    const bytes = this.#state.at === 'negotiating' ? this.#state.negotiation.refusal(why) : Buffer.alloc(0);
    this.#socket.closed();
    return { wire: this.wire, rejection: { bytes, sent: sentOf(why) } };
  }

  get clientAddress(): string {
    return this.#client.address;
  }

  get isUnanswered(): boolean {
    return this.#state.at === 'request' && !this.#state.headersSent;
  }

  refuseRequest(why: ProxyError): void {
    if (this.#state.at === 'request') this.#state.stop(why);
  }

  get limitMs(): number {
    switch (this.#state.at) {
      case 'negotiating':
        return this.#context.requestHeadMs;
      case 'closing':
        return LINGER_MS;
      default:
        return 0;
    }
  }

  wasTouched(): boolean {
    const touched = this.#touched;
    this.#touched = false;
    return touched;
  }

  expired(): void {
    const state = this.#state;
    if (state.at === 'negotiating' && state.negotiation.hasBegun)
      return this.#refuseNegotiation(state.negotiation, new ProxyError('client_too_slow', 'the negotiation stopped'));
    this.wire.stream.destroy();
  }

  bytes(chunk: Buffer, ownership: Ownership): void {
    const state = this.#state;
    if (state.at === 'negotiating') {
      this.#touched = true;
      state.negotiation.add(chunk);
      this.#advance(state.negotiation);
    } else if (state.at === 'checking') {
      state.negotiation.add(chunk);
      if (state.negotiation.isFull) this.wire.pause();
    } else if (state.at === 'request') this.#store(ownership === 'fresh' ? chunk : Buffer.from(chunk));
  }

  end(): void {
    this.#hasEnded = true;
    const state = this.#state;
    if (state.at === 'negotiating' || state.at === 'closing') this.wire.stream.destroy();
    else if (state.at === 'checking') this.#leave(state.stop, 'the client closed the connection');
    else if (state.at === 'request') {
      // As with a CONNECT: a client that has sent nothing for its tunnel has gone, one that has still wants the rest.
      if (this.#early.isEmpty) this.#leave(state.signal, 'the client closed the connection');
      else this.#context.ended.add(this);
    }
  }

  failed(cause: Error): void {
    const gone = new ProxyError('client_gone', 'the connection to the client broke', { cause });
    if (this.#state.at === 'request') this.#state.stop(gone);
    else if (this.#state.at === 'checking') this.#state.stop.abort(gone);
    this.wire.stream.destroy();
  }

  #leave(stop: Stop, why: string): void {
    stop.abort(new ProxyError('client_gone', why));
    this.wire.stream.destroy();
  }

  /** Goes on with what has arrived, until more has to come. */
  #advance(negotiation: Negotiation): void {
    const nowMs = this.#context.clock.now();
    this.#sinceMs ??= nowMs;
    const requires = requiresLogin(this.#context.services().authenticator, this.#client);
    for (;;) {
      const step = negotiation.next(requires);
      if (step.at === 'reply') this.wire.stream.write(step.bytes);
      else if (step.at === 'login') return this.#checkLogin(step.login, negotiation);
      else if (step.at === 'request') return this.#serve(step);
      else if (step.at === 'refused') return this.#refuse(step.error, step.version, step.bytes);
      else if (nowMs - this.#sinceMs > this.#context.requestHeadMs * TOTAL_FACTOR)
        return this.#refuseNegotiation(negotiation, new ProxyError('client_too_slow', 'the negotiation trickles'));
      else return;
    }
  }

  /** A client learns at once whether its password is right; the request is identified by it like any other. */
  #checkLogin(login: Socks5Login, negotiation: Negotiation): void {
    const stop = new Stop();
    this.#state = { at: 'checking', negotiation, stop };
    this.#place.markBusy();
    this.#credentials = credentialsOf(login);
    const request = { ...this.#common(negotiation.version, stop), requestTarget: '' };
    identifyUser({ request }, this.#context.services()).then(
      () => this.#continue(login, negotiation),
      (thrown: unknown) => {
        if (this.#state.at === 'checking') this.#refuseNegotiation(negotiation, asProxyError(thrown));
      },
    );
  }

  #continue(login: Socks5Login, negotiation: Negotiation): void {
    if (this.#state.at !== 'checking') return;
    this.#state = { at: 'negotiating', negotiation };
    this.#touched = true;
    this.#context.idle.rescheduleSooner(this);
    this.wire.stream.write(negotiation.loggedIn(login));
    this.wire.resume();
    this.#advance(negotiation);
  }

  #serve({ version, target, rest }: NegotiationStep & { readonly at: 'request' }): void {
    const responder = new SocksResponder(this, version);
    const services = this.#context.services();
    const requestTarget = formatAuthority(target);
    const request: TunnelRequest = {
      ...this.#common(version, responder.signal),
      kind: 'tunnel',
      requestTarget,
      target,
      startedMs: this.#context.clock.now(),
    };
    if (this.#context.draining()) {
      const why = new ProxyError('draining', 'the proxy is stopping');
      return this.#refuse(why, version, version.refusal(why));
    }
    this.#state = responder;
    this.#place.markBusy();
    this.#store(Buffer.from(rest));
    if (this.#hasEnded) this.#context.ended.add(this);
    void handleTunnel(request, responder, services, this.#context.sessions);
  }

  #common(version: SocksVersion, signal: Stop) {
    return {
      id: this.#context.nextId(),
      method: 'CONNECT',
      protocol: version.protocol,
      headers: [],
      credentials: this.#credentials,
      client: this.#client,
      signal,
    } as const;
  }

  #store(bytes: Buffer): void {
    this.#early.add(bytes);
    if (this.#early.isFull) this.wire.pause();
  }

  handOff(signal: Stop): Connection {
    const tunnel = this.#socket.handOff(this.#early.take(), signal);
    this.#state = tunnel;
    this.#context.ended.delete(this);
    return tunnel;
  }

  #refuseNegotiation(negotiation: Negotiation, error: ProxyError): void {
    this.#refuse(error, negotiation.version, negotiation.refusal(error));
  }

  /** Refuses what is no request yet. */
  #refuse(error: ProxyError, { protocol }: SocksVersion, bytes: Buffer): void {
    const { stream } = this.wire;
    const sent = stream.destroyed ? undefined : sentOf(error);
    if (sent !== undefined) {
      stream.write(bytes);
      this.refused();
    }
    const refused = { id: this.#context.nextId(), protocol, client: this.#client, sent };
    recordRefused(error, refused, this.#context.services(), this.#context.sessions);
  }

  refused(): void {
    this.#state = { at: 'closing' };
    this.#early.take();
    this.#touched = true;
    // An expiry has ended the watch, and nothing else would close the connection.
    this.#context.idle.watch(this);
    this.#place.markIdle();
    this.wire.stream.end(() => {
      if (this.#hasEnded) this.wire.stream.destroy();
    });
    this.wire.deliverTo(this);
  }

  onClosed(): void {
    const state = this.#state;
    this.#context.ended.delete(this);
    const gone = new ProxyError('client_gone', 'the client closed the connection');
    if (state.at === 'request') state.stop(gone);
    else if (state.at === 'checking') state.stop.abort(gone);
    this.#state = { at: 'gone' };
  }
}

const credentialsOf = ({ username, password }: Socks5Login): ClientCredentials => ({
  kind: 'password',
  username,
  password: new Secret(password),
});

import type { ProxyEvent } from './event.ts';
import type { FailureCode } from './failure.ts';
import type { Authority, Body, Headers } from './request.ts';
import type { Secret } from './secret.ts';
import type { Sink } from './source.ts';
import type {
  Admitted,
  Allow,
  Connection,
  Decision,
  Deny,
  Gate,
  Hop,
  HopScheme,
  Hops,
  Identified,
  Permit,
  Principal,
  Received,
  Route,
  Routing,
} from './stages.ts';
import type { StopSignal } from './stop.ts';

/** Who is asking: the first authenticator that recognises the request decides. */
export interface Authenticator {
  readonly scheme: string;
  identify(from: Received): Principal | Challenge | Promise<Principal | Challenge>;
}
/** A value of `Proxy-Authenticate`. */
export interface Challenge {
  readonly challenge: string;
  /** Why nobody was recognised, for the log. */
  readonly reason?: string;
}

/** May they go there: judged on names, before anything is resolved. */
export interface Policy {
  decide(from: Identified): Decision | Promise<Decision>;
}

/** May that address be dialled: judged on every resolved address, right before dialling exactly it. */
export interface AddressGuard {
  check(address: string, port: number): Allow | Deny;
  /** A proxy that the user configured: everything but ourselves. */
  checkConfigured(address: string, port: number): Allow | Deny;
}

/** How much: a permit, or a ProxyError `at_capacity` or `over_rate`. */
export interface Limiter {
  acquire(from: Identified): Permit | Promise<Permit>;
  /** Names of the limits that the request would meet; nothing is counted. */
  namesFor(from: Identified): readonly string[];
}

/** Ordered ways to the target, best first. An empty answer becomes `no_route`. */
export interface Router {
  route(from: Admitted): Routing | Promise<Routing>;
}

/**
 * Which proxies answer; a chain is known as a whole. One that failed sits out for a while; a change of the network
 * clears all, and what was learned about an older network is ignored.
 */
export interface RouteHealth {
  /** Counts the networks that this machine has been in. */
  readonly generation: number;
  /** On the proxy's clock; `undefined`: it is in service. */
  sitsOutUntilMs(hops: Hops): number | undefined;
  /** It said something, to whomever: it is alive. */
  answered(hops: Hops): void;
  failed(hops: Hops, why: FailureCode, generation: number): void;
}

/** Addresses of a name, best first. Rejects with `dns_failed` or `dns_timeout`. */
export interface Resolver {
  /** Addresses that need no waiting; `undefined` when the name has to be looked up. */
  known(host: string): readonly string[] | undefined;
  resolve(host: string, signal: StopSignal): Promise<readonly string[]>;
}

/** Opens a connection to a hop's proxy, through the hops before it, TLS included. Called again it opens another. */
export type Reach = () => Promise<Connection>;
/** Opens a tunnel to `to` through the proxy of `hop`. Whatever it reached and does not return, it disposes. */
export interface Dialer {
  readonly schemes: readonly HopScheme[];
  dial(hop: Hop, to: Authority, within: DialScope, reach: Reach): Promise<Connection>;
}
export interface DialScope {
  readonly id: string;
  readonly signal: StopSignal;
  readonly guard: AddressGuard;
  readonly observe: Observe;
  /** Also told the heads that pass, when somebody reads them: printing a head costs more than parsing it. */
  readonly tap: Observe | undefined;
  /** `Via` of a CONNECT to another proxy: what the client's request had, and us. Absent: nobody has passed it on. */
  readonly via?: string | undefined;
}

/** How an upstream proxy may be told who we are, strongest first. */
export const AUTH_SCHEMES = ['negotiate', 'ntlm', 'digest', 'basic'] as const;
export type AuthSchemeName = (typeof AUTH_SCHEMES)[number];

/** An account at an upstream proxy. */
export interface Credential {
  readonly user: string;
  readonly domain: string | undefined;
  readonly secret: CredentialSecret;
  /** Where it comes from, for people: `keyring`, `NTLM_CREDENTIALS`, … */
  readonly source: string;
  /** Differs when account or secret differ, and tells neither: pools and latches are keyed by it. */
  readonly id: string;
}
/** A hash is enough for NTLM, and only for that; both are 32 hexadecimal digits. */
export type CredentialSecret =
  | { readonly kind: 'password'; readonly password: Secret }
  | { readonly kind: 'nt-hash'; readonly hash: Secret }
  /** Of this user in this domain, as they are written here: cntlm's PassNTLMv2. */
  | { readonly kind: 'ntlmv2-hash'; readonly hash: Secret };

/** Who we are at which upstream proxy, and whether it may be told. */
export interface CredentialBook {
  accountAt(hop: Hop): Promise<UpstreamAccount>;
}
export type UpstreamAccount =
  | {
      readonly at: 'known';
      /** Schemes that may be used, strongest first. */
      readonly schemes: readonly AuthSchemeName[];
      /** `undefined`: nothing but a Kerberos ticket could be offered. */
      readonly credential: Credential | undefined;
      /** Who we are in Basic, where that is somebody else: `BASIC_CREDENTIALS` beside another account. */
      readonly basic?: Credential | undefined;
    }
  /** The proxy is not trusted with credentials; `told` names it and the flag that would trust it. */
  | { readonly at: 'withheld'; readonly told: string };

/** What would be told to an upstream proxy that asked, for people: no secrets. */
export type OwnAccount =
  | {
      readonly at: 'known';
      /** `CORP\me`; `undefined`: nothing but a Kerberos ticket could be offered. */
      readonly user: string | undefined;
      readonly source: string | undefined;
      readonly schemes: readonly AuthSchemeName[];
      /** Who we are in Basic, where that is somebody else. */
      readonly basic: { readonly user: string; readonly source: string } | undefined;
      /** The proxy has rejected the secret: it is not sent there again. */
      readonly isRejected: boolean;
      /** When our Kerberos tickets run out; `undefined`: there are none, or they never do, or none would be shown. */
      readonly ticketsUntil: Date | undefined;
    }
  | { readonly at: 'withheld'; readonly told: string }
  | { readonly at: 'failed'; readonly why: string };
export interface OwnAccounts {
  ownAccountAt(hop: Hop): Promise<OwnAccount>;
}

/** One way to open a tunnel along routes in order, for `pipeline/connect.ts`. */
export interface Connector {
  connect(routes: readonly Route[], to: Authority, within: DialScope): Promise<{ route: Route; upstream: Connection }>;
}

/** One plain HTTP exchange over a pooled or a fresh connection. */
export interface Exchange {
  send(outgoing: Outgoing, routes: readonly Route[], within: DialScope): Promise<OriginReply>;
}
/** A request as it goes out; `framing` and the fields agree, and the body is written by the exchange. */
export interface Outgoing {
  readonly method: string;
  readonly target: Authority;
  /** Path and query, `*`, or `''` for none: the exchange makes the form that the route wants of it. */
  readonly path: string;
  readonly headers: Headers;
  readonly body: OutgoingBody | undefined;
  /** The one protocol that the client offered to switch to. */
  readonly upgrade: string | undefined;
  /** Called for every 1xx but 101. */
  inform(head: ReplyHead): void;
}
/** The body of the client, sent on by the relay under the permit's gate. */
export interface OutgoingBody {
  /** Moves the whole body into `to`; resolves with the bytes sent, rejects when either side fails. */
  sendTo(to: Connection): Promise<number>;
  /** Whether all of it has been sent: only then may the connection serve another request. */
  readonly complete: boolean;
}
export interface ReplyHead {
  readonly status: number;
  readonly reason: string;
  readonly headers: Headers;
}
export interface OriginReply extends Disposable {
  readonly head: ReplyHead;
  readonly version: '1.0' | '1.1';
  /** `undefined`: the answer has no body. */
  readonly body: Body | undefined;
  /** Present after a 101: the connection now speaks the other protocol. */
  readonly upgraded: Connection | undefined;
  readonly route: Route;
  readonly address: string | undefined;
  /** Settles when the whole request body was sent, or sending it failed. */
  readonly sent: Promise<number>;
}

/** A complete answer of our own. */
export interface Reply extends ReplyHead {
  /** Text is sent as UTF-8. */
  readonly body: string | Buffer;
}
/** The listener's end of a CONNECT: it becomes a tunnel or it is refused, exactly one of the two. */
export interface TunnelSide {
  /** Whether the client has been told anything final: a failure after that can only cut. */
  readonly begun: boolean;
  established(): Promise<Connection>;
  refuse(reply: Reply): Promise<void>;
}
/** The listener's end of a forwarded request: any number of 1xx, then one final answer. */
export interface ForwardSide {
  readonly begun: boolean;
  inform(head: ReplyHead): void;
  /** Sends the head and then the body, if any; resolves with the body's bytes when all has been handed to the kernel. */
  respond(head: ReplyHead, body: Body | undefined, terms: AnswerTerms): Promise<number>;
  /** 101: the connection leaves HTTP. */
  upgrade(head: ReplyHead): Promise<Connection>;
  refuse(reply: Reply): Promise<void>;
  /** Cuts an answer that has begun and cannot be completed. */
  abort(): void;
}

/** What an answer passes under, and who counts it while it passes. */
export type AnswerTerms = Pick<BodyTerms, 'gate' | 'trailers' | 'idleMs' | 'count'> & {
  /** The request body that still moves while the answer does; the connection is not closed before it settles. */
  readonly upload: Promise<unknown> | undefined;
};

/** Moves the bytes of one tunnel until it ends. */
export interface Relay {
  run(client: Connection, upstream: Connection, limits: RelayLimits): Promise<RelayResult>;
}
export interface RelayLimits {
  readonly signal: StopSignal;
  /** No byte either way for this long ends the tunnel; 0 never does. */
  readonly idleMs: number;
  /** After one side has ended: how long the other may be silent. */
  readonly lingerMs: number;
  readonly permit: Permit;
  /** Read while the tunnel runs, by whoever shows it. */
  readonly meter: Meter;
  /** Whoever had ended before, of a tunnel that another relay began. */
  readonly firstToEnd?: 'client' | 'upstream' | undefined;
}
/** Bytes that have passed; a number, since 2^53 bytes outlast any tunnel. */
export interface Meter {
  up: number;
  down: number;
}
/** `limit`: a limit lets nothing more pass, e.g. a quota that is used up. */
export type RelayEnd = 'client' | 'upstream' | 'idle' | 'limit' | 'aborted' | 'error';
export interface RelayResult {
  readonly up: number;
  readonly down: number;
  readonly end: RelayEnd;
}

/** Moves one message body into a stream. */
export interface BodyMover {
  /** Resolves with the bytes of payload when the whole body, its last chunk and trailers included, is written. */
  move(body: Body, to: Sink, terms: BodyTerms): Promise<number>;
}
export interface BodyHead {
  readonly bytes: Buffer;
  written(): void;
}
export interface BodyTerms {
  /** Goes out in front of the body; a body that fails before its first byte takes nothing with it. */
  readonly head: BodyHead | undefined;
  readonly coding: 'raw' | 'chunked';
  /** Trailer fields that may go on, out of those that arrived. */
  readonly trailers: (arrived: Headers) => Headers;
  readonly gate: Gate | undefined;
  readonly signal: StopSignal;
  /** How long neither side may move a byte. */
  readonly idleMs: number;
  /** What silence of the source, silence of the stream, and a broken stream become. */
  readonly silent: FailureCode;
  readonly stuck: FailureCode;
  readonly broken: FailureCode;
  readonly count: (bytes: number) => void;
}

export type Observe = (event: ProxyEvent) => void;
/** Hears every event; disposing flushes what is still to be written. */
export interface Exporter extends AsyncDisposable {
  readonly name: string;
  readonly observe: Observe;
}

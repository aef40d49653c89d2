import type { Clock } from '../../core/clock.ts';
import type { Credential, DialScope, UpstreamAccount } from '../../core/contracts.ts';
import { ProxyError } from '../../core/failure.ts';
import type { Headers } from '../../core/request.ts';
import type { Sink } from '../../core/source.ts';
import type { Hop } from '../../core/stages.ts';
import { type Challenge, parseChallenges } from '../../protocol/challenge.ts';
import { valuesOf } from '../../protocol/header-list.ts';
import { formatHop } from '../../protocol/proxy-url.ts';
import type { ResponseHead } from '../../protocol/response-head.ts';
import { BasicTalk } from './basic.ts';
import { DigestTalk } from './digest.ts';
import type { Ticketing } from './gssapi.ts';
import { KerberosTalk } from './kerberos.ts';
import type { LogonTurns, Turn } from './logons.ts';
import { logsOnConnections, type ParentMemory } from './memory.ts';
import { NtlmTalk } from './ntlm.ts';
import type { AuthMessage, Obstacle, Talk } from './talk.ts';
import { authFailure, type Closed, rejectedSentence } from './told.ts';
import { bindsConnection, credentialFor, type KnownAccount, SCHEME_OF, type Way, waysOf } from './ways.ts';

/** Answers of 407 to one request. Four ways of at most three each; a proxy that asks on has nothing new to say. */
const ROUNDS_MAX = 12;
/** A ticket that was refused once is shown again after this long: its server's clock or key may have been mended. */
const TICKET_REFUSED_MS = 30_000;

/** In HTTP/1.1 it goes without saying; proxies of 1.0 that know NTLM close the connection between its messages without it. */
const STAYS = ['Proxy-Connection', 'keep-alive'] as const;

/** What an introduction needs of the house. */
export interface IntroductionParts {
  readonly hop: Hop;
  /** The failure: the secret cannot be used, for a file that others can read. It matters only if the proxy asks. */
  readonly account: UpstreamAccount | ProxyError;
  readonly memory: ParentMemory;
  readonly logonsOf: (credential: Credential) => LogonTurns;
  readonly tickets: Ticketing | undefined;
  readonly workstation: string;
  readonly clock: Clock;
}

/** On which connection the same message goes out again: of the one that the 407 came on, or of a new one. */
export type Next = 'same-connection' | 'fresh-connection';
/**
 * What the connection is after its last answer. `bound`: logged on, whatever comes over it is ours. `free`: it belongs
 * to nobody. `spoilt`: a logon was begun on it and not ended.
 */
export type Standing = 'bound' | 'free' | 'spoilt';

/**
 * One request's talk with one proxy about who we are: which field goes with the next message, and what an answer to it
 * means. It speaks of nothing before the proxy has asked, in this request or an earlier one.
 */
export class Introduction implements Disposable {
  readonly #parts: IntroductionParts;
  readonly #within: Pick<DialScope, 'signal' | 'observe'>;
  #standing: Standing;
  #hasBegun = false;
  #hasPassed = false;
  #talk: Talk | undefined;
  #turn: Turn | undefined;
  #challenges: readonly Challenge[] | undefined;
  readonly #closed = new Map<Way, Closed>();
  #rounds = 0;

  /** `bound`: on a connection that an earlier introduction has left so. */
  constructor(parts: IntroductionParts, within: Pick<DialScope, 'signal' | 'observe'>, standing: 'free' | 'bound') {
    this.#parts = parts;
    this.#within = within;
    this.#standing = standing;
  }

  get standing(): Standing {
    return this.#standing;
  }

  /** Waits for leave to say what the proxy is known to want. To be called before a connection waits along. */
  async begin(): Promise<void> {
    if (this.#hasBegun || this.#standing === 'bound') return;
    this.#hasBegun = true;
    const { memory } = this.#parts;
    const { way } = memory;
    const account = this.#known;
    if (way === undefined || account === undefined || !waysOf(account).includes(way)) return;
    const talk = this.#open(way, account, undefined);
    if ('obstacle' in talk || (await this.#mayProve(way, account)) === 'closed') return;
    this.#talk = talk;
  }

  /** Whether the next message may carry what cannot be sent twice: as far as is known, it is not answered with a 407. */
  async mayCarryBody(): Promise<boolean> {
    const account = this.#known;
    if (this.#standing === 'bound' || this.#hasPassed || account === undefined) return true;
    const { memory } = this.#parts;
    const talk = this.#talk;
    if (talk !== undefined) return talk.isLast && (this.#turn?.kind === 'trusted' || memory.way === 'kerberos');
    // Where there is nothing to say, nearly every proxy asks nobody: one that does is found out by the request itself.
    return memory.asks === 'no' || (memory.asks === 'unknown' && !(await this.#hasWhatToSay(account)));
  }

  /** What the next message says about us. Rejects when no way is left to tell it. */
  async fields(message: AuthMessage, over: Sink): Promise<Headers> {
    await this.begin();
    if (this.#standing === 'bound') return [];
    while (this.#talk !== undefined) {
      const talk = this.#talk;
      const value = await talk.next(message, over);
      if (typeof value === 'string') {
        if (!bindsConnection(talk.way)) return [['Proxy-Authorization', value]];
        this.#standing = 'spoilt';
        return [['Proxy-Authorization', value], STAYS];
      }
      this.#close(talk, value);
      if (this.#challenges !== undefined) await this.#choose(this.#challenges);
    }
    return [];
  }

  /** The proxy has let the message through, whatever it said to it. */
  async accepted({ headers }: ResponseHead): Promise<void> {
    const { memory, hop } = this.#parts;
    const talk = this.#talk;
    this.#hasPassed = true;
    if (talk === undefined) {
      if (memory.asks === 'unknown') memory.asks = 'no';
      return;
    }
    // It did not wait for the proof: this request needed none.
    if (!talk.hasProved) return this.#give();
    this.#turn?.accepted();
    memory.way = talk.way;
    memory.asks = 'yes';
    const doubt = await talk.accepted(headers);
    this.#standing = logsOnConnections(talk.way, memory) ? 'bound' : 'free';
    if (doubt === undefined) return;
    this.#standing = 'spoilt';
    this.#say(`${formatHop(hop)} accepts our ticket and cannot prove who it is: ${doubt.obstacle}`);
  }

  /** The proxy has answered 407. `fit`: whether its connection can go on. Rejects when no way is left. */
  async refused({ headers }: ResponseHead, fit: 'open' | 'doubtful' | 'closed'): Promise<Next> {
    const challenges = parseChallenges(valuesOf(headers, 'proxy-authenticate'));
    const { memory } = this.#parts;
    memory.asks = 'yes';
    this.#hasBegun = true;
    this.#hasPassed = false;
    this.#challenges = challenges;
    const same: Next = fit === 'open' ? 'same-connection' : 'fresh-connection';
    const talk = this.#talk;
    if (this.#standing === 'bound' && memory.way === 'kerberos') memory.wantsEachTicket = true;
    this.#rounds += 1;
    if (this.#rounds > ROUNDS_MAX) throw this.#failure(challenges);
    const verdict = talk?.judge(challenges);
    if (talk !== undefined && verdict !== undefined) {
      if (verdict === 'again') return same;
      if (verdict === 'go-on' && fit !== 'closed') return 'same-connection';
      if (verdict === 'rejected') this.#rejected(talk);
      else this.#close(talk, verdict === 'go-on' ? { obstacle: 'it closes the connection in the middle' } : verdict);
    }
    this.#standing = 'free';
    await this.#choose(challenges);
    const startsAnew = this.#talk !== undefined && bindsConnection(this.#talk.way);
    return startsAnew || talk !== undefined || this.#turn?.hasWaited ? 'fresh-connection' : same;
  }

  /** The connection on which it passed is gone: where that was what was logged on, the next one is told anew. */
  async moved(): Promise<void> {
    if (this.#standing === 'bound') await this.restart();
  }

  /** As if the proxy had not been asked yet in this request. */
  async restart(): Promise<void> {
    this.#give();
    this.#standing = 'free';
    this.#hasBegun = false;
    this.#hasPassed = false;
    await this.begin();
  }

  [Symbol.dispose](): void {
    this.#give();
  }

  get #known(): KnownAccount | undefined {
    const { account } = this.#parts;
    return !(account instanceof ProxyError) && account.at === 'known' ? account : undefined;
  }

  /** The strongest way that the proxy offers and that is open. */
  async #choose(challenges: readonly Challenge[]): Promise<void> {
    const account = this.#known;
    if (account === undefined) throw this.#failure(challenges);
    for (const way of waysOf(account)) {
      if (this.#closed.has(way) || !challenges.some(({ scheme }) => scheme === SCHEME_OF[way])) continue;
      const talk = this.#open(way, account, challenges);
      if ('obstacle' in talk) this.#closed.set(way, talk);
      else if ((await this.#mayProve(way, account)) === 'open') {
        this.#talk = talk;
        return;
      }
    }
    throw this.#failure(challenges);
  }

  /** Without challenges: with what is remembered of earlier ones. */
  #open(way: Way, account: KnownAccount, challenges: readonly Challenge[] | undefined): Talk | Obstacle {
    const { hop, memory, tickets, workstation, clock } = this.#parts;
    if (way === 'kerberos') {
      if (tickets === undefined) return { obstacle: 'this system has none' };
      if (clock.now() < memory.ticketRefusedUntilMs) return { obstacle: 'the ticket was refused a moment ago' };
      return new KerberosTalk(tickets, hop.proxy.host);
    }
    const credential = credentialFor(way, account);
    if (credential === undefined) return { obstacle: 'no account' };
    if (way === 'basic') return BasicTalk.with(credential);
    if (way === 'digest') return DigestTalk.with(credential, memory, challenges);
    return new NtlmTalk({ way, credential, host: hop.proxy.host, workstation, clock });
  }

  async #mayProve(way: Way, account: KnownAccount): Promise<'open' | 'closed'> {
    const credential = credentialFor(way, account);
    if (credential === undefined) return 'open';
    const turn = await this.#parts.logonsOf(credential).turn(this.#within.signal);
    if (turn === 'rejected') {
      this.#closed.set(way, { rejected: credential });
      return 'closed';
    }
    this.#turn = turn;
    return 'open';
  }

  /** It has our proof and does not believe it: a wrong secret, which would be as wrong by any other way. */
  #rejected(talk: Talk): void {
    const account = this.#known;
    const credential = account && credentialFor(talk.way, account);
    if (credential === undefined) return this.#close(talk, { obstacle: 'the ticket was refused' });
    const { hop, logonsOf } = this.#parts;
    // Several may be told so at the same time.
    if (!logonsOf(credential).isRejected) this.#say(rejectedSentence(hop, credential));
    this.#turn?.rejected();
    this.#closed.set(talk.way, { rejected: credential });
    this.#forget(talk);
  }

  #close(talk: Talk, obstacle: Obstacle): void {
    const { memory, clock } = this.#parts;
    if (talk.way === 'kerberos' && talk.hasProved) memory.ticketRefusedUntilMs = clock.now() + TICKET_REFUSED_MS;
    this.#closed.set(talk.way, obstacle);
    this.#forget(talk);
  }

  #forget(talk: Talk): void {
    const { memory } = this.#parts;
    if (memory.way === talk.way) memory.way = undefined;
    this.#give();
  }

  #give(): void {
    this.#turn?.[Symbol.dispose]();
    this.#turn = undefined;
    this.#talk?.[Symbol.dispose]();
    this.#talk = undefined;
  }

  #failure(challenges: readonly Challenge[]): ProxyError {
    const { hop, account } = this.#parts;
    if (account instanceof ProxyError) return account;
    if (account.at === 'withheld')
      return new ProxyError('proxy_auth_failed', account.told, { told: `${account.told}.` });
    return authFailure(hop, challenges, this.#closed, account.credential ?? account.basic);
  }

  async #hasWhatToSay({ credential, basic, schemes }: KnownAccount): Promise<boolean> {
    if (credential !== undefined || basic !== undefined) return true;
    return schemes.includes('negotiate') && (await this.#parts.tickets?.ticketExpiry()) !== undefined;
  }

  #say(message: string): void {
    this.#within.observe({ type: 'notice', level: 'warn', message });
  }
}

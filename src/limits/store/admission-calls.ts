import { createHash } from 'node:crypto';
import type { Clock } from '../../util/clock.ts';
import type { Scope } from '../counting/tunnels.ts';
import { ADMIT } from './scripts.ts';
import { StoreDownError, type StoreLink } from './store-link.ts';

/** Requests that come within this time after a call go with the next one. */
const PAUSE_MS = 40;
/** Requests, and counts of tunnels, in one call: the store does nothing else meanwhile. */
const REQUESTS_MAX = 200;
const COUNTS_MAX = 500;
/** So long after it began to count, the store may not know of all tunnels: the instances tell it with their next message. */
const LEARN_MS = 1_500;

interface TunnelKey {
  readonly scope: Scope;
  readonly key: string;
}

/** The limits that one request meets. */
export interface AdmissionQuestion {
  readonly rates: readonly { readonly key: string; readonly rate: number; readonly burst: number }[];
  readonly quotas: readonly { readonly key: string; readonly max: number; readonly everyMs: number }[];
  readonly tunnels: readonly (TunnelKey & { readonly max: number })[];
}

export type AdmissionReply =
  | { readonly kind: 'admitted'; readonly slot: Disposable }
  /** `at`: the place of the limit among those of its kind. `isTunnels`: it may be admitted later. */
  | {
      readonly kind: 'refused';
      readonly by: 'requests' | 'quota' | 'tunnels';
      readonly isTunnels: boolean;
      readonly at: number;
      readonly waitMs: number;
    }
  | { readonly kind: 'store-down' };

interface Pending {
  readonly question: AdmissionQuestion;
  readonly makeSlot: () => Disposable;
  readonly onReply: (reply: AdmissionReply) => void;
}

export interface AdmissionCallsDeps {
  readonly link: StoreLink;
  readonly clock: Clock;
  /** Open tunnels of this instance. */
  openOf(scope: Scope, key: string): number;
}

/** Asks the store to admit requests: one call at a time, for all requests that came since the last one. */
export class AdmissionCalls implements Disposable {
  readonly #deps: AdmissionCallsDeps;
  #pending: Pending[] = [];
  /** Counts of tunnels that the store has to hear. */
  readonly #changed = new Map<string, TunnelKey>();
  #timer: Disposable | undefined;
  #startedMs = Number.NEGATIVE_INFINITY;
  #isCalling = false;
  #isClosed = false;

  constructor(deps: AdmissionCallsDeps) {
    this.#deps = deps;
  }

  /** `makeSlot` is called as soon as the store has admitted it, before the next call tells it the counts. */
  ask(question: AdmissionQuestion, makeSlot: () => Disposable): Promise<AdmissionReply> {
    return new Promise((onReply) => {
      this.#pending.push({ question, makeSlot, onReply });
      this.#callSoon();
    });
  }

  /** Tunnels were opened or closed under these keys. */
  report(keys: Iterable<TunnelKey>): void {
    for (const one of keys) this.#changed.set(idOf(one), one);
    if (this.#changed.size > 0) this.#callSoon();
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#timer?.[Symbol.dispose]();
    this.#answerAll({ kind: 'store-down' });
  }

  #answerAll(reply: AdmissionReply): void {
    const pending = this.#pending;
    this.#pending = [];
    for (const { onReply } of pending) onReply(reply);
  }

  #callSoon(): void {
    if (this.#isClosed || this.#isCalling || this.#timer !== undefined) return;
    const { clock } = this.#deps;
    this.#timer = clock.after(Math.max(0, this.#startedMs + PAUSE_MS - clock.now()), () => void this.#call());
  }

  async #call(): Promise<void> {
    this.#timer = undefined;
    const { link, clock } = this.#deps;
    // When it is back, it is sent what is open.
    if (!link.isUp) return this.#answerAll({ kind: 'store-down' });
    this.#isCalling = true;
    this.#startedMs = clock.now();
    const asked = this.#pending.splice(0, REQUESTS_MAX);
    const keys = new KeyList([link.key('epoch'), link.key('instances')]);
    const counts = this.#takeCounts(keys, asked);
    const requests = asked.map(({ question }) => this.#encode(question, keys));
    const input = { me: link.me, learnMs: LEARN_MS, counts, requests };
    try {
      const reply = await link.call(ADMIT, keys.names, input);
      const replies = Array.isArray(reply[1]) ? reply[1] : [];
      for (const [at, { makeSlot, onReply }] of asked.entries()) onReply(parseReply(replies[at], makeSlot));
    } catch (error) {
      if (!(error instanceof StoreDownError)) throw error;
      for (const { onReply } of asked) onReply({ kind: 'store-down' });
    }
    this.#isCalling = false;
    if (this.#pending.length > 0 || this.#changed.size > 0) this.#callSoon();
  }

  /** How many tunnels are open here, under the keys that are asked for and those that have changed. */
  #takeCounts(keys: KeyList, asked: readonly Pending[]): [number, number][] {
    const counted = new Map<string, TunnelKey>();
    // Always those of a request that is asked for now: its key may not be known to the store.
    for (const { question } of asked) for (const one of question.tunnels) counted.set(idOf(one), one);
    for (const [id, one] of this.#changed) {
      if (counted.size >= COUNTS_MAX) break;
      counted.set(id, one);
    }
    for (const id of counted.keys()) this.#changed.delete(id);
    return [...counted.values()].map(({ scope, key }) => [
      keys.index(this.#tunnelKey(scope, key)),
      this.#deps.openOf(scope, key),
    ]);
  }

  #encode({ rates, quotas, tunnels }: AdmissionQuestion, keys: KeyList) {
    return {
      rates: rates.map(({ key, rate, burst }) => [keys.index(key), rate, burst]),
      quotas: quotas.map(({ key, max, everyMs }) => [keys.index(key), max, everyMs]),
      tunnels: tunnels.map(({ scope, key, max }) => [keys.index(this.#tunnelKey(scope, key)), max]),
    };
  }

  /** Of fixed length, and without the names of users. */
  #tunnelKey(scope: Scope, key: string): string {
    const digest = createHash('sha256').update(key).digest('base64url').slice(0, 22);
    return this.#deps.link.key('tunnels', scope, digest);
  }
}

const idOf = ({ scope, key }: TunnelKey): string => `${scope} ${key}`;

/** Keys of one call, each once; a script counts them from 1. */
class KeyList {
  readonly names: string[];
  readonly #indexes = new Map<string, number>();

  constructor(first: readonly string[]) {
    this.names = [...first];
  }

  index(name: string): number {
    let index = this.#indexes.get(name);
    if (index === undefined) {
      index = this.names.push(name);
      this.#indexes.set(name, index);
    }
    return index;
  }
}

const KINDS = ['admitted', 'requests', 'quota', 'tunnels', 'learning'] as const;

function parseReply(reply: unknown, makeSlot: () => Disposable): AdmissionReply {
  const [code, index, waitMs] = Array.isArray(reply) ? reply.map(Number) : [];
  const kind = KINDS[code ?? -1];
  if (kind === undefined) return { kind: 'store-down' };
  if (kind === 'admitted') return { kind: 'admitted', slot: makeSlot() };
  const isTunnels = kind === 'tunnels' || kind === 'learning';
  return { kind: 'refused', by: isTunnels ? 'tunnels' : kind, isTunnels, at: (index ?? 1) - 1, waitMs: waitMs ?? 0 };
}

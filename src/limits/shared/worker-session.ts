import { ProxyError } from '../../contracts/failure.ts';
import type { Clock } from '../../util/clock.ts';
import type { OwnerAdmission } from '../counting/admission.ts';
import type { BandwidthState, LimitState } from '../limit-state.ts';
import { isRefusalCode } from '../refusal.ts';
import type { Claim, ClaimListener } from './allocator.ts';
import type { BudgetKey } from './backend.ts';
import {
  fromSentSubject,
  type SentSubject,
  type ToLimitsClient,
  type ToLimitsServer,
  toSentState,
} from './messages.ts';
import { Outbox } from './outbox.ts';

/** A worker that has not reported by then hangs: what it reported last is counted. */
const REPORT_MS_MAX = 1_000;

/** One process that serves requests under these limits. Disposing ends all that it holds. */
export interface WorkerSession extends Disposable {
  receive(messages: readonly ToLimitsServer[]): void;
}

interface SessionDeps {
  readonly admission: OwnerAdmission;
  readonly clock: Clock;
  join(of: BudgetKey, listener: ClaimListener): Claim;
  describe(): Promise<readonly LimitState[]>;
  onClosed(): void;
}

export class IpcWorkerSession implements WorkerSession {
  readonly #deps: SessionDeps;
  readonly #outbox: Outbox<ToLimitsClient>;
  #isOpen = true;
  readonly #admitted = new Map<number, Disposable>();
  /** Requests that wait until a tunnel closes. */
  readonly #waiting = new Map<number, AbortController>();
  readonly #claims = new Map<number, Claim>();
  readonly #reports = new Map<number, (states: readonly BandwidthState[]) => void>();
  #lastQuery = 0;
  #lastReport: readonly BandwidthState[] = [];

  constructor(deps: SessionDeps, send: (messages: readonly ToLimitsClient[]) => void) {
    this.#deps = deps;
    this.#outbox = new Outbox((messages) => {
      if (this.#isOpen) send(messages);
    });
  }

  receive(messages: readonly ToLimitsServer[]): void {
    for (const message of messages) this.#handle(message);
  }

  /** What passes under the bandwidth limits in this worker. */
  report(): Promise<readonly BandwidthState[]> {
    return new Promise((resolve) => {
      const query = ++this.#lastQuery;
      const timer = this.#deps.clock.after(REPORT_MS_MAX, () => this.#onReported(query, this.#lastReport));
      this.#reports.set(query, (states) => {
        timer[Symbol.dispose]();
        resolve(states);
      });
      this.#post({ type: 'report', query });
    });
  }

  [Symbol.dispose](): void {
    this.#isOpen = false;
    this.#deps.onClosed();
    for (const waiting of this.#waiting.values()) waiting.abort();
    for (const slot of this.#admitted.values()) slot[Symbol.dispose]();
    for (const claim of this.#claims.values()) claim[Symbol.dispose]();
    for (const query of this.#reports.keys()) this.#onReported(query, []);
    this.#admitted.clear();
    this.#claims.clear();
  }

  #handle(message: ToLimitsServer): void {
    switch (message.type) {
      case 'admit':
        return this.#admit(message.request, message.subject);
      case 'register': {
        const slot = this.#deps.admission.count(fromSentSubject(message.subject));
        this.#admitted.set(message.request, slot);
        return;
      }
      case 'release':
        this.#waiting.get(message.request)?.abort();
        this.#admitted.get(message.request)?.[Symbol.dispose]();
        this.#admitted.delete(message.request);
        return;
      case 'open':
        return this.#open(message, message.budget);
      case 'want':
        return this.#claims.get(message.budget)?.want(message);
      case 'refund':
        return this.#claims.get(message.budget)?.refund(message.bytes);
      case 'surrender':
        return this.#claims.get(message.budget)?.surrender(message.bytes);
      case 'close':
        this.#claims.get(message.budget)?.[Symbol.dispose]();
        this.#claims.delete(message.budget);
        return;
      case 'describe':
        return void this.#describe(message.query);
      case 'reported':
        this.#lastReport = message.states;
        return this.#onReported(message.query, message.states);
    }
  }

  #open(of: BudgetKey, budget: number): void {
    const claim = this.#deps.join(of, {
      onGranted: (bytes) => this.#post({ type: 'grant', budget, bytes }),
      onExhausted: (forMs) => this.#post({ type: 'exhausted', budget, forMs }),
      onRecalled: () => this.#post({ type: 'recall', budget }),
    });
    this.#claims.set(budget, claim);
  }

  #admit(request: number, subject: SentSubject): void {
    const released = new AbortController();
    try {
      const slot = this.#deps.admission.admit(fromSentSubject(subject), released.signal);
      if (!(slot instanceof Promise)) return this.#onAdmitted(request, slot);
      this.#waiting.set(request, released);
      slot
        .then(
          (late) => (released.signal.aborted ? late[Symbol.dispose]() : this.#onAdmitted(request, late)),
          (error) => this.#onRefused(request, error),
        )
        .finally(() => this.#waiting.delete(request));
    } catch (error) {
      this.#onRefused(request, error);
    }
  }

  #onAdmitted(request: number, slot: Disposable): void {
    this.#admitted.set(request, slot);
    this.#post({ type: 'admitted', request });
  }

  #onRefused(request: number, error: unknown): void {
    // The worker has released it: no response is waited for.
    if (!(error instanceof ProxyError)) return;
    const { detail, clientDetail, headers } = error;
    // No limit refuses with another code; without a response the request would wait for ever.
    const code = isRefusalCode(error.code) ? error.code : 'rate_limited';
    this.#post({ type: 'refused', request, code, detail, clientDetail, headers });
  }

  async #describe(query: number): Promise<void> {
    const states = await this.#deps.describe();
    this.#post({ type: 'described', query, states: states.map(toSentState) });
  }

  #onReported(query: number, states: readonly BandwidthState[]): void {
    this.#reports.get(query)?.(states);
    this.#reports.delete(query);
  }

  #post(message: ToLimitsClient): void {
    if (this.#isOpen) this.#outbox.post(message);
  }
}

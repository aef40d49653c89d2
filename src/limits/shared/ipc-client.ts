import { ProxyError } from '../../contracts/failure.ts';
import { NO_SLOT, type SlotItem, SlotList } from '../../util/slot-list.ts';
import type { StopSignal } from '../../util/stop.ts';
import type { BandwidthState, LimitState } from '../limit-state.ts';
import { type LimitsOptions, NO_LIMITS } from '../options.ts';
import type { Subject } from '../subject.ts';
import type { BudgetKey, BudgetLease, GrantListener, LimitsBackend } from './backend.ts';
import { fromSentState, type ToLimitsClient, type ToLimitsServer, toSentSubject } from './messages.ts';
import { Outbox } from './outbox.ts';

const NOT_COUNTED: Disposable = { [Symbol.dispose]() {} };

interface PendingAdmission {
  readonly onAdmitted: () => void;
  readonly onRefused: (error: ProxyError) => void;
}

interface PendingQuery {
  readonly onDescribed: (states: readonly LimitState[]) => void;
  readonly onClosed: (error: ProxyError) => void;
}

/** The limits that another process owns, over any channel that carries messages there. */
export class IpcLimitsClient implements LimitsBackend {
  readonly #outbox: Outbox<ToLimitsServer>;
  #options: LimitsOptions = NO_LIMITS;
  /** Numbers of requests, budgets and queries. */
  #lastNumber = 0;
  readonly #pending = new Map<number, PendingAdmission>();
  readonly #listeners = new Map<number, GrantListener>();
  readonly #queries = new Map<number, PendingQuery>();
  #report: () => readonly BandwidthState[] = () => [];
  /** Tunnels that were opened while no limit counted them. */
  readonly #uncounted = new SlotList<AdmissionSlot>();

  constructor(send: (messages: readonly ToLimitsServer[]) => void) {
    this.#outbox = new Outbox(send);
  }

  receive(messages: readonly ToLimitsClient[]): void {
    for (const message of messages) this.#handle(message);
  }

  admit(subject: Subject, signal: StopSignal): Disposable | Promise<Disposable> {
    if (needsAdmission(this.#options, subject)) return this.#requestAdmission(subject, signal);
    if (!subject.isTunnel) return NOT_COUNTED;
    const slot = new AdmissionSlot(subject, this);
    this.#uncounted.add(slot);
    return slot;
  }

  openBudget(of: BudgetKey, listener: GrantListener): BudgetLease {
    const budget = ++this.#lastNumber;
    this.#listeners.set(budget, listener);
    this.#outbox.post({ type: 'open', budget, ...of });
    return {
      want: (demand) => this.#outbox.post({ type: 'want', budget, ...demand }),
      refund: (bytes) => this.#outbox.post({ type: 'refund', budget, bytes }),
      [Symbol.dispose]: () => {
        if (this.#listeners.delete(budget)) this.#outbox.post({ type: 'close', budget });
      },
    };
  }

  update(options: LimitsOptions): void {
    this.#options = options;
    for (const slot of this.#uncounted) {
      if (!needsAdmission(options, slot.subject)) continue;
      this.#uncounted.delete(slot);
      slot.request = ++this.#lastNumber;
      this.#outbox.post({ type: 'register', request: slot.request, subject: toSentSubject(slot.subject) });
    }
  }

  /** The primary has set it before it sent the new rate to this process. */
  setRate(): void {}

  describe(): Promise<readonly LimitState[]> {
    return new Promise((onDescribed, onClosed) => {
      const query = ++this.#lastNumber;
      this.#queries.set(query, { onDescribed, onClosed });
      this.#outbox.post({ type: 'describe', query });
    });
  }

  reportWith(report: () => readonly BandwidthState[]): void {
    this.#report = report;
  }

  /** Requests that wait to be admitted are refused; the channel stays open for what was given back last. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new ProxyError('shutdown', 'the limits of this process were closed');
    for (const [request, pending] of [...this.#pending]) {
      this.#outbox.post({ type: 'release', request });
      pending.onRefused(closed);
    }
    for (const query of this.#queries.values()) query.onClosed(closed);
    this.#queries.clear();
    this.#listeners.clear();
  }

  #requestAdmission(subject: Subject, signal: StopSignal): Promise<Disposable> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const request = ++this.#lastNumber;
      const onAbort = () => {
        settle();
        this.#outbox.post({ type: 'release', request });
        reject(signal.reason);
      };
      const settle = () => {
        this.#pending.delete(request);
        signal.removeEventListener('abort', onAbort);
      };
      this.#pending.set(request, {
        onAdmitted: () => {
          settle();
          const slot = new AdmissionSlot(subject, this);
          slot.request = request;
          resolve(slot);
        },
        onRefused: (error) => {
          settle();
          reject(error);
        },
      });
      signal.addEventListener('abort', onAbort);
      this.#outbox.post({ type: 'admit', request, subject: toSentSubject(subject) });
    });
  }

  /** Called once, when the request is over. */
  release(slot: AdmissionSlot): void {
    if (slot.request !== undefined) this.#outbox.post({ type: 'release', request: slot.request });
    else this.#uncounted.delete(slot);
  }

  #handle(message: ToLimitsClient): void {
    switch (message.type) {
      case 'admitted':
        return this.#pending.get(message.request)?.onAdmitted();
      case 'refused': {
        const { code, detail, clientDetail, headers } = message;
        const error = new ProxyError(code, detail, {
          headers,
          ...(clientDetail !== undefined && { clientDetail }),
        });
        return this.#pending.get(message.request)?.onRefused(error);
      }
      case 'grant': {
        const { budget, bytes } = message;
        const listener = this.#listeners.get(budget);
        // The lease was closed while these were on their way.
        if (listener === undefined) return this.#outbox.post({ type: 'refund', budget, bytes });
        return listener.onGranted(bytes);
      }
      case 'exhausted':
        return this.#listeners.get(message.budget)?.onExhausted(message.forMs);
      case 'recall': {
        const { budget } = message;
        const bytes = this.#listeners.get(budget)?.onRecalled() ?? 0;
        return this.#outbox.post({ type: 'surrender', budget, bytes });
      }
      case 'described':
        this.#queries.get(message.query)?.onDescribed(message.states.map(fromSentState));
        this.#queries.delete(message.query);
        return;
      case 'report':
        return this.#outbox.post({ type: 'reported', query: message.query, states: this.#report() });
    }
  }
}

/** The admission of one request; `request` is its number at the owner, if the owner counts it. */
class AdmissionSlot implements SlotItem, Disposable {
  slot = NO_SLOT;
  readonly subject: Subject;
  request: number | undefined;
  readonly #client: IpcLimitsClient;
  #isOpen = true;

  constructor(subject: Subject, client: IpcLimitsClient) {
    this.subject = subject;
    this.#client = client;
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#client.release(this);
  }
}

/** Whether a limit counts this request, so that the owner must be asked. */
function needsAdmission({ requests, quota, tunnels, onStoreDown }: LimitsOptions, { isTunnel }: Subject): boolean {
  // The owner refuses all while the store is down.
  if (onStoreDown === 'deny') return true;
  if (requests.length > 0 || quota.length > 0) return true;
  return isTunnel && (tunnels.total ?? tunnels.client ?? tunnels.user) !== undefined;
}

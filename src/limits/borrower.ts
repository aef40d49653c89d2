import { ProxyError } from '../core/failure.ts';
import type { StopSignal } from '../core/stop.ts';
import type { Account, AccountOf, Holder, Lender, ToBorrower, ToOwner } from './lease.ts';
import { type LimitsOptions, NO_LIMITS } from './options.ts';
import type { Subject } from './subject.ts';

const NO_PLACE: Disposable = { [Symbol.dispose]() {} };

interface Asked {
  readonly entered: () => void;
  readonly refused: (error: ProxyError) => void;
}

/** The limits of another process, over whatever carries messages there. */
export class Borrower implements Lender {
  readonly #send: (messages: readonly ToOwner[]) => void;
  #outbox: ToOwner[] = [];
  #options: LimitsOptions = NO_LIMITS;
  #numbers = 0;
  readonly #asked = new Map<number, Asked>();
  readonly #accounts = new Map<number, Holder>();
  /** Tunnels that were let in when nothing counted them. */
  readonly #uncounted = new Set<Place>();

  constructor(send: (messages: readonly ToOwner[]) => void) {
    this.#send = send;
  }

  hear(messages: readonly ToBorrower[]): void {
    for (const message of messages) this.#hearOne(message);
  }

  admit(subject: Subject, signal: StopSignal): Disposable | Promise<Disposable> {
    if (asks(this.#options, subject)) return this.#ask(subject, signal);
    if (!subject.isTunnel) return NO_PLACE;
    const place = new Place(subject, (left) => this.#left(left));
    this.#uncounted.add(place);
    return place;
  }

  account(of: AccountOf, holder: Holder): Account {
    const a = ++this.#numbers;
    this.#accounts.set(a, holder);
    this.#say({ is: 'open', a, ...of });
    return {
      want: (demand) => this.#say({ is: 'want', a, ...demand }),
      giveBack: (bytes) => this.#say({ is: 'back', a, bytes }),
      [Symbol.dispose]: () => {
        if (this.#accounts.delete(a)) this.#say({ is: 'close', a });
      },
    };
  }

  update(options: LimitsOptions): void {
    this.#options = options;
    for (const place of this.#uncounted) {
      if (!asks(options, place.subject)) continue;
      this.#uncounted.delete(place);
      place.n = ++this.#numbers;
      this.#say({ is: 'present', n: place.n, subject: sent(place.subject) });
    }
  }

  #ask(subject: Subject, signal: StopSignal): Promise<Disposable> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const n = ++this.#numbers;
      const onAbort = () => {
        answered();
        this.#say({ is: 'leave', n });
        reject(signal.reason);
      };
      const answered = () => {
        this.#asked.delete(n);
        signal.removeEventListener('abort', onAbort);
      };
      this.#asked.set(n, {
        entered: () => {
          answered();
          const place = new Place(subject, (left) => this.#left(left));
          place.n = n;
          resolve(place);
        },
        refused: (error) => {
          answered();
          reject(error);
        },
      });
      signal.addEventListener('abort', onAbort);
      this.#say({ is: 'enter', n, subject: sent(subject) });
    });
  }

  #left(place: Place): void {
    if (place.n !== undefined) this.#say({ is: 'leave', n: place.n });
    else this.#uncounted.delete(place);
  }

  #hearOne(message: ToBorrower): void {
    switch (message.is) {
      case 'entered':
        return this.#asked.get(message.n)?.entered();
      case 'refused': {
        const { code, detail, told, fields } = message;
        const error = new ProxyError(code, detail, { fields, ...(told !== undefined && { told }) });
        return this.#asked.get(message.n)?.refused(error);
      }
      case 'grant': {
        const holder = this.#accounts.get(message.a);
        // It was closed meanwhile, without these.
        if (holder === undefined) return this.#say({ is: 'back', a: message.a, bytes: message.bytes });
        return holder.granted(message.bytes);
      }
      case 'over':
        return this.#accounts.get(message.a)?.exhausted(message.forMs);
      case 'recall':
        return this.#say({ is: 'yield', a: message.a, bytes: this.#accounts.get(message.a)?.recalled() ?? 0 });
    }
  }

  /** What one turn of the loop has to say is one message: each costs two system calls and a wake-up. */
  #say(message: ToOwner): void {
    this.#outbox.push(message);
    if (this.#outbox.length > 1) return;
    // Not on the clock: it is no wait, only the end of this turn.
    setImmediate(() => {
      const messages = this.#outbox;
      this.#outbox = [];
      this.#send(messages);
    });
  }
}

/** The place of one request; `n` is its number at the owner, if that counts it. */
class Place implements Disposable {
  readonly subject: Subject;
  n: number | undefined;
  readonly #left: (place: Place) => void;
  #isOpen = true;

  constructor(subject: Subject, left: (place: Place) => void) {
    this.subject = subject;
    this.#left = left;
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#left(this);
  }
}

/** Whether anything is counted for which the owner must be asked. */
function asks({ requests, quota, tunnels }: LimitsOptions, { isTunnel }: Subject): boolean {
  if (requests.length > 0 || quota.length > 0) return true;
  return isTunnel && (tunnels.total ?? tunnels.client ?? tunnels.user) !== undefined;
}

const sent = ({ id, client, user, host, port, isTunnel }: Subject) => ({ id, client, user, host, port, isTunnel });

import type {
  Doubt,
  LoginAttempt,
  LoginAttemptTerms,
  LoginDenial,
  LoginKey,
  LoginLimiter,
  QuestionSupport,
} from '../upstream-auth/login-attempt.ts';
import { TRUSTED_MS, UNCLEAR_MAX } from '../upstream-auth/login-limiter.ts';
import type { Clock } from '../util/clock.ts';
import { LruMap } from '../util/lru-map.ts';
import type { StopSignal } from '../util/stop.ts';
import type { LoginRequest, LoginResponse } from './login-messages.ts';

/** Secrets at proxies that a worker remembers, so that not every request costs a message to the primary. */
const KNOWN_MAX = 4_096;

/** What this worker knows about one secret at one upstream proxy. */
interface LoginState {
  isRejected: boolean;
  trustedUntilMs: number;
  unclearInRow: number;
}

/** The login limiters of a worker: the primary grants the turns, since all workers share them. */
export class LoginClient {
  readonly #clock: Clock;
  readonly #send: (request: LoginRequest) => void;
  readonly #states = new LruMap<string, LoginState>(KNOWN_MAX);
  readonly #pending = new Map<number, (turn: LoginAttemptTerms | LoginDenial) => void>();
  #numbers = 0;

  constructor(clock: Clock, send: (request: LoginRequest) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  receive(response: LoginResponse): void {
    if (response.type === 'turn') this.#pending.get(response.turnId)?.(response.turn);
    else this.#of(response.key).trustedUntilMs = Number.NEGATIVE_INFINITY;
  }

  /** The limiter of one secret at one upstream proxy. */
  of(key: LoginKey): LoginLimiter {
    const state = () => this.#of(key);
    return {
      get isRejected() {
        return state().isRejected;
      },
      // Only the primary knows it, and sends it with the next turn that it denies.
      retryMs: undefined,
      acquire: async (signal, askable) =>
        this.#clock.now() < state().trustedUntilMs ? this.#trusted(key) : await this.#turn(key, signal, askable),
    };
  }

  #of({ proxy, secret }: LoginKey): LoginState {
    const make = (): LoginState => ({ isRejected: false, trustedUntilMs: Number.NEGATIVE_INFINITY, unclearInRow: 0 });
    return this.#states.getOrCreate(`${proxy} ${secret}`, make);
  }

  #accept(key: LoginKey): void {
    const state = this.#of(key);
    state.isRejected = false;
    state.unclearInRow = 0;
    state.trustedUntilMs = this.#clock.now() + TRUSTED_MS;
  }

  #reject(key: LoginKey): void {
    const state = this.#of(key);
    state.isRejected = true;
    state.trustedUntilMs = Number.NEGATIVE_INFINITY;
  }

  /** A login without a message to the primary, which learns only of a rejection or a doubt. */
  #trusted(key: LoginKey): LoginAttempt {
    return {
      kind: 'trusted',
      hasWaited: false,
      asksProxyFirst: false,
      isInDoubt: false,
      wasAccepted: true,
      accepted: () => this.#accept(key),
      rejected: () => {
        this.#reject(key);
        this.#send({ type: 'reject', key });
      },
      doubt: (doubt) => {
        const state = this.#of(key);
        state.unclearInRow += 1;
        if (doubt !== 'status' || state.unclearInRow >= UNCLEAR_MAX) {
          state.trustedUntilMs = Number.NEGATIVE_INFINITY;
          this.#send({ type: 'distrust', key });
        }
        return 'again';
      },
      [Symbol.dispose]() {},
    };
  }

  #turn(key: LoginKey, signal: StopSignal, askable: QuestionSupport): Promise<LoginAttempt | LoginDenial> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const turnId = ++this.#numbers;
      const onAbort = () => {
        this.#pending.delete(turnId);
        this.#send({ type: 'end', turnId, how: 'over' });
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort);
      this.#pending.set(turnId, (granted) => {
        this.#pending.delete(turnId);
        signal.removeEventListener('abort', onAbort);
        if ('denied' in granted) this.#of(key).isRejected = granted.denied === 'rejected';
        resolve('denied' in granted ? granted : this.#grantedTurn(turnId, key, granted));
      });
      this.#send({ type: 'turn', turnId, key, askable });
    });
  }

  /** A turn that the primary has granted. How it ended is sent once. */
  #grantedTurn(turnId: number, key: LoginKey, terms: LoginAttemptTerms): LoginAttempt {
    let isOver = false;
    let { isInDoubt } = terms;
    const end = (how: 'accepted' | 'rejected' | 'over') => {
      if (!isOver) this.#send({ type: 'end', turnId, how });
      isOver = true;
    };
    return {
      ...terms,
      accepted: () => {
        this.#accept(key);
        end('accepted');
      },
      rejected: () => {
        this.#reject(key);
        end('rejected');
      },
      // Counted as the primary does. If a doubt of another worker comes in between, this worker holds the secret back one
      // attempt later than the primary.
      doubt: (doubt) => {
        if (!isOver) this.#send({ type: 'doubt', turnId, doubt });
        const isByTarget: Record<Doubt, boolean> = {
          status: true,
          silence: true,
          'question-status': false,
          'question-silence': false,
        };
        const isSecond = isInDoubt && !(isByTarget[doubt] && terms.wasAccepted);
        isInDoubt = true;
        return isSecond ? 'held' : 'again';
      },
      [Symbol.dispose]: () => end('over'),
    };
  }
}

import type { Latches } from '../upstream-auth/latch-file.ts';
import type { Doubt, LoginAttempt, LoginKey, QuestionSupport } from '../upstream-auth/login-attempt.ts';
import { LoginLimiterRegistry } from '../upstream-auth/login-limiter-registry.ts';
import type { Clock } from '../util/clock.ts';
import type { LoginRequest, LoginResponse } from './login-messages.ts';

/** The turns of one worker. Disposing ends them. */
export interface LoginSession extends Disposable {
  receive(message: LoginRequest): void;
}
type End = Extract<LoginRequest, { type: 'end' }>['how'];

/**
 * Grants the turns to log on at upstream proxies, for all workers together: with a latch in each worker, a wrong password
 * would be sent as often as there are workers, and directories lock an account after three.
 */
export class LoginServer {
  readonly #registry: LoginLimiterRegistry;
  readonly #workers = new Set<(response: LoginResponse) => void>();

  constructor(clock: Clock, latches?: Latches) {
    this.#registry = new LoginLimiterRegistry(clock, latches);
  }

  /** A reload was requested: rejected secrets may be tried again. */
  lift(): void {
    this.#registry.lift();
  }

  openSession(send: (response: LoginResponse) => void): LoginSession {
    this.#workers.add(send);
    const turns = new Map<number, { readonly turn: LoginAttempt; readonly key: LoginKey }>();
    const leaving = new Map<number, AbortController>();
    const take = async (turnId: number, key: LoginKey, askable: QuestionSupport) => {
      const left = new AbortController();
      leaving.set(turnId, left);
      try {
        const turn = await this.#registry.limiterFor(key).acquire(left.signal, askable);
        if ('denied' in turn) return send({ type: 'turn', turnId, turn });
        turns.set(turnId, { turn, key });
        if (left.signal.aborted) return end(turnId, 'over');
        const { kind, hasWaited, asksProxyFirst, isInDoubt, wasAccepted } = turn;
        send({ type: 'turn', turnId, turn: { kind, hasWaited, asksProxyFirst, isInDoubt, wasAccepted } });
      } catch {
        // The worker has given the turn up while it waited.
      } finally {
        leaving.delete(turnId);
      }
    };
    const end = (turnId: number, how: End) => {
      leaving.get(turnId)?.abort();
      const granted = turns.get(turnId);
      turns.delete(turnId);
      if (granted === undefined) return;
      if (how === 'accepted') granted.turn.accepted();
      else if (how === 'rejected') {
        granted.turn.rejected();
        this.#publish({ type: 'distrusted', key: granted.key });
      }
      granted.turn[Symbol.dispose]();
    };
    const doubt = (turnId: number, how: Doubt) => {
      const granted = turns.get(turnId);
      if (granted === undefined) return;
      granted.turn.doubt(how);
      this.#publish({ type: 'distrusted', key: granted.key });
    };
    return {
      receive: (message) => {
        if (message.type === 'turn') return void take(message.turnId, message.key, message.askable);
        if (message.type === 'end') return end(message.turnId, message.how);
        if (message.type === 'doubt') return doubt(message.turnId, message.doubt);
        const logins = this.#registry.limiterFor(message.key);
        if (message.type === 'reject') logins.reject();
        else logins.distrust();
        this.#publish({ type: 'distrusted', key: message.key });
      },
      [Symbol.dispose]: () => {
        this.#workers.delete(send);
        for (const left of leaving.values()) left.abort();
        for (const turnId of [...turns.keys()]) end(turnId, 'over');
      },
    };
  }

  #publish(response: LoginResponse): void {
    for (const send of this.#workers) send(response);
  }
}

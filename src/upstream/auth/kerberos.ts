import type { Headers } from '../../core/request.ts';
import type { Sink } from '../../core/source.ts';
import { type Challenge, parseChallenges } from '../../protocol/challenge.ts';
import { valuesOf } from '../../protocol/header-list.ts';
import { serverEndPoint } from './end-point.ts';
import type { GssContext, Ticketing } from './gssapi.ts';
import { tokenOf } from './ntlm.ts';
import type { AuthMessage, Obstacle, Talk, Verdict } from './talk.ts';

/** Kerberos in Negotiate (RFC 4559): one token is enough as a rule, and no token is good twice. */
export class KerberosTalk implements Talk {
  readonly way = 'kerberos';
  readonly #tickets: Ticketing;
  readonly #host: string;
  #context: GssContext | undefined;
  #received: Buffer | undefined;
  #isDone = false;
  #hasSpoken = false;

  constructor(tickets: Ticketing, host: string) {
    this.#tickets = tickets;
    this.#host = host;
  }

  get hasProved(): boolean {
    return this.#hasSpoken;
  }

  get isLast(): boolean {
    return true;
  }

  async next(_message: AuthMessage, over: Sink): Promise<string | Obstacle> {
    if (this.#context === undefined || this.#received === undefined) {
      // Another connection, or another request of a proxy that wants to be told each time: a context of its own.
      this[Symbol.dispose]();
      const offered = await this.#tickets.offer(`HTTP@${this.#host}`, serverEndPoint(over));
      if ('no' in offered) return { obstacle: offered.no };
      this.#context = offered;
    }
    const step = await this.#context.step(this.#received);
    this.#received = undefined;
    if ('no' in step) return { obstacle: step.no };
    if (step.token === undefined) return { obstacle: 'Kerberos has nothing more to say' };
    this.#isDone = step.done;
    this.#hasSpoken = true;
    return `Negotiate ${step.token.toString('base64')}`;
  }

  judge(challenges: readonly Challenge[]): Verdict {
    const token = tokenOf(challenges, 'negotiate');
    if (token === undefined || this.#isDone) return 'rejected';
    this.#received = token;
    return 'go-on';
  }

  /** A proxy that shows a token proves with it that it has the key of the service; many show none. */
  async accepted(headers: Headers): Promise<Obstacle | undefined> {
    const values = ['proxy-authentication-info', 'proxy-authenticate'].flatMap((name) => valuesOf(headers, name));
    const token = tokenOf(parseChallenges(values), 'negotiate');
    if (token === undefined || this.#context === undefined || this.#isDone) return undefined;
    const step = await this.#context.step(token);
    return 'no' in step ? { obstacle: step.no } : undefined;
  }

  [Symbol.dispose](): void {
    this.#context?.[Symbol.dispose]();
    this.#context = undefined;
    this.#isDone = false;
  }
}

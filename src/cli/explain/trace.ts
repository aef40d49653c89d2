import type { ProxyEvent } from '../../core/event.ts';
import type { ProxyRecord } from '../../core/record.ts';
import { routeText } from '../../observe/format-json.ts';
import { maskedLines } from './mask.ts';
import type { Event, Step } from './steps.ts';
import { tokenPart } from './tokens.ts';

/** A page that makes a proxy say more than this is not explained any further. */
const STEPS_MAX = 1000;

/** Collects what happens, from the client's side and from the proxy's, in the order in which it happens. */
export class Trace {
  readonly #now: () => number;
  readonly #startedMs: number;
  readonly #steps: Step[] = [];
  #record: ProxyRecord | undefined;
  #onRecord: (() => void) | undefined;
  #asked: 'connect' | 'request' = 'request';

  /** `now` in milliseconds; the first step is at 0. */
  constructor(now: () => number) {
    this.#now = now;
    this.#startedMs = now();
  }

  get steps(): readonly Step[] {
    return this.#steps;
  }
  /** Of the request, as soon as the proxy has closed it. */
  get record(): ProxyRecord | undefined {
    return this.#record;
  }

  elapsedMs(): number {
    return this.#now() - this.#startedMs;
  }

  add(event: Event): void {
    if (this.#steps.length < STEPS_MAX) this.#steps.push({ ms: this.elapsedMs(), ...event });
  }

  /** Resolves when the proxy has told how the request ended. */
  recorded(): Promise<void> {
    if (this.#record !== undefined) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onRecord = resolve;
    });
  }

  /** Hears the proxy. */
  hear(event: ProxyEvent): void {
    const told = this.#told(event);
    if (told !== undefined) this.add(told);
    if (event.type !== 'closed') return;
    this.#record = event.record;
    this.#onRecord?.();
  }

  /** The hop to the client is left out: the client itself tells it, whatever the proxy. */
  #told(event: ProxyEvent): Event | undefined {
    switch (event.type) {
      case 'decided':
        return { kind: 'decided', verdict: event.decision.verdict, rule: event.decision.rule };
      case 'routed':
        return { kind: 'routed', routes: event.routes.map(routeText) };
      case 'dns':
        // An address is its own answer: nobody was asked.
        if (event.addresses[0] === event.host) return undefined;
        return { kind: 'dns', host: event.host, addresses: event.addresses, tookMs: event.ms };
      case 'dialing':
        return { kind: 'dialing', address: event.address, port: event.to.port, attempt: event.attempt };
      case 'attempt-failed':
        return { kind: 'attempt-failed', address: event.address, reason: event.reason, tookMs: event.ms };
      case 'connected':
        return { kind: 'connected', address: event.address, tookMs: event.ms };
      case 'wire':
        return event.hop === 'upstream' ? this.#upstreamHead(event.sent, event.head) : undefined;
      case 'received':
      case 'would-deny':
      case 'established':
      case 'closed':
      case 'health':
      case 'notice':
        return undefined;
    }
  }

  #upstreamHead(sent: 'by-peer' | 'by-us', head: string): Event {
    const lines = maskedLines(head);
    if (sent === 'by-us') {
      this.#asked = head.startsWith('CONNECT ') ? 'connect' : 'request';
      return { kind: 'head', mark: '>>', role: this.#asked, through: 'hop', lines, ...tokenPart(head) };
    }
    const status = Number(lines[0]?.split(' ')[1]);
    const answer = this.#asked === 'connect' ? 'connect-answer' : 'answer';
    return {
      kind: 'head',
      mark: '<<',
      role: status < 200 ? 'interim' : answer,
      through: 'hop',
      lines,
      status,
      ...tokenPart(head),
    };
  }
}

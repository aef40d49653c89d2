import type { ProxyEvent } from '../../contracts/event.ts';
import type { ProxyRecord } from '../../contracts/record.ts';
import { routeText } from '../../observe/record-text.ts';
import { maskedLines } from './mask.ts';
import type { Event, Step } from './steps.ts';
import { tokenPart } from './tokens.ts';

/** Steps behind these are not recorded: a site could cause any number of them. */
const STEPS_MAX = 1000;

/** Collects what happens, from the client's side and from the proxy's, in the order in which it happens. */
export class Trace {
  readonly #now: () => number;
  readonly #startedMs: number;
  readonly #steps: Step[] = [];
  #record: ProxyRecord | undefined;
  #onRecord: (() => void) | undefined;
  #requestKind: 'connect' | 'request' = 'request';

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

  /** Resolves when the proxy has closed the record of the request. */
  waitForRecord(): Promise<void> {
    if (this.#record !== undefined) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onRecord = resolve;
    });
  }

  /** Receives the events of the proxy. */
  observe(event: ProxyEvent): void {
    const step = this.#stepOf(event);
    if (step !== undefined) this.add(step);
    if (event.type !== 'close') return;
    this.#record = event.record;
    this.#onRecord?.();
  }

  /** The hop to the client is left out: the client records that itself, with a proxy of any kind. */
  #stepOf(event: ProxyEvent): Event | undefined {
    switch (event.type) {
      case 'decided':
        return { kind: 'decided', verdict: event.decision.verdict, rule: event.decision.rule };
      case 'routed':
        return { kind: 'routed', routes: event.routes.map(routeText) };
      case 'dns':
        // An address needs no look-up.
        if (event.addresses[0] === event.host) return undefined;
        return { kind: 'dns', host: event.host, addresses: event.addresses, tookMs: event.ms };
      case 'dialing':
        return { kind: 'dialing', address: event.address, port: event.to.port, attempt: event.attempt };
      case 'attempt-failed':
        return { kind: 'attempt-failed', address: event.address, reason: event.reason, tookMs: event.ms };
      case 'connected':
        return { kind: 'connected', address: event.address, tookMs: event.ms };
      case 'secured':
        return { kind: 'secured', proxy: event.proxy, speaks: event.speaks, tookMs: event.ms };
      case 'head':
        return event.hop === 'upstream' ? this.#upstreamHead(event.sent, event.head) : undefined;
      case 'request':
      case 'established':
      case 'response':
      case 'close':
      case 'health':
      case 'notice':
        return undefined;
    }
  }

  #upstreamHead(sent: 'by-peer' | 'by-us', head: string): Event {
    const lines = maskedLines(head);
    if (sent === 'by-us') {
      this.#requestKind = head.startsWith('CONNECT ') ? 'connect' : 'request';
      return { kind: 'head', mark: '>>', role: this.#requestKind, through: 'hop', lines, ...tokenPart(head) };
    }
    const status = Number(lines[0]?.split(' ')[1]);
    const final = this.#requestKind === 'connect' ? 'connect-response' : 'response';
    return {
      kind: 'head',
      mark: '<<',
      role: status < 200 ? 'interim' : final,
      through: 'hop',
      lines,
      status,
      ...tokenPart(head),
    };
  }
}

import type { Exporter, ProxyEvent } from '../contracts/event.ts';
import type { Headers } from '../contracts/request.ts';
import type { Clock } from '../util/clock.ts';
import { Sampling } from '../util/sampling.ts';
import { routeText } from './record-text.ts';

/** What a step of a request consisted of. */
export interface StepPart {
  readonly what: 'pac' | 'dns' | 'dial' | 'dial-failed' | 'tls' | 'route-failed' | 'first-byte';
  /** A name, an address or a route. */
  readonly about: string;
  /** Since the head of the request was read. */
  readonly startMs: number;
  readonly ms: number;
}

/** So many requests are kept, and as many that began before; then the earlier ones are forgotten at once. */
const REQUESTS_MAX = 1_024;
/** So many of those that begin in a second; more are a sample. */
const SAMPLED_PER_SECOND = 500;
/** Parts of one request: many routes and many addresses end here. */
const PARTS_MAX = 32;

const NO_FIELDS: Headers = [];

interface Kept {
  readonly startedMs: number;
  /** What was reported, and when; `undefined`: nothing yet. Every request pays for this, and texts are made for a reader. */
  parts: { readonly event: ProxyEvent; readonly atMs: number }[] | undefined;
}

/** Keeps the parts of the last requests, for a look at one of them. */
export class RequestSteps implements Exporter {
  readonly name = 'steps';
  readonly only = [
    'request',
    'routed',
    'dns',
    'connected',
    'secured',
    'attempt-failed',
    'route-failed',
    'response',
  ] as const;
  readonly #clock: Clock;
  /** Two maps and no removal of the oldest: a map that loses its first entry each time becomes slow. */
  #latest = new Map<string, Kept>();
  #earlier: ReadonlyMap<string, Kept> = new Map();
  readonly #sampling = new Sampling(SAMPLED_PER_SECOND);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  readonly observe = (event: ProxyEvent): void => {
    switch (event.type) {
      case 'request':
        return this.#begin(event.id, event.request.startedMs);
      case 'routed':
        // Only a script takes time.
        return event.by.kind === 'pac' ? this.#add(event.id, event) : undefined;
      case 'dns':
      case 'connected':
      case 'secured':
      case 'attempt-failed':
      case 'route-failed':
        return this.#add(event.id, event);
      case 'response':
        return this.#addResponse(event.id, event.status);
    }
  };

  /** Nothing of a request that is not kept any more. */
  of(id: string): readonly StepPart[] {
    const kept = this.#find(id);
    return (kept?.parts ?? []).flatMap(({ event, atMs }) => {
      const part = partOf(event);
      if (part === undefined || kept === undefined) return [];
      return [{ ...part, startMs: Math.max(0, atMs - kept.startedMs - part.ms), ms: part.ms }];
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #find(id: string): Kept | undefined {
    return this.#latest.get(id) ?? this.#earlier.get(id);
  }

  #begin(id: string, startedMs: number): void {
    if (!this.#sampling.take(startedMs)) return;
    if (this.#latest.size >= REQUESTS_MAX) {
      this.#earlier = this.#latest;
      this.#latest = new Map();
    }
    this.#latest.set(id, { startedMs, parts: undefined });
  }

  /** Without its fields, which may be many. */
  #addResponse(id: string, status: number): void {
    const kept = this.#find(id);
    if (kept !== undefined) this.#addTo(kept, { type: 'response', id, status, headers: NO_FIELDS });
  }

  /** Something has just ended. */
  #add(id: string, event: ProxyEvent): void {
    const kept = this.#find(id);
    if (kept !== undefined) this.#addTo(kept, event);
  }

  #addTo(kept: Kept, event: ProxyEvent): void {
    kept.parts ??= [];
    if (kept.parts.length < PARTS_MAX) kept.parts.push({ event, atMs: this.#clock.now() });
  }
}

function partOf(event: ProxyEvent): Omit<StepPart, 'startMs'> | undefined {
  switch (event.type) {
    case 'routed':
      return event.by.kind === 'pac' ? { what: 'pac', about: event.by.source, ms: event.by.ms } : undefined;
    case 'dns':
      return { what: 'dns', about: `${event.host}: ${event.addresses.join(', ')}`, ms: event.ms };
    case 'connected':
      return { what: 'dial', about: event.address, ms: event.ms };
    case 'secured':
      return { what: 'tls', about: `with ${event.proxy}`, ms: event.ms };
    case 'attempt-failed':
      return { what: 'dial-failed', about: `${event.address}: ${event.reason}`, ms: event.ms };
    case 'route-failed':
      return { what: 'route-failed', about: `${routeText(event.route)}: ${event.reason}`, ms: event.ms };
    case 'response':
      return { what: 'first-byte', about: `of the response, ${event.status}`, ms: 0 };
    default:
      return undefined;
  }
}

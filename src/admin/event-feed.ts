import type { ServerResponse } from 'node:http';
import type { ProxyRecord } from '../contracts/record.ts';
import type { LiveRequest } from '../sessions/sessions.ts';
import { AdminError } from './admin-error.ts';
import type { ApiDeps } from './api-deps.ts';
import type { ClientNames } from './client-names.ts';
import type { EndedCursor } from './controlled-proxy.ts';
import { CounterSeries } from './counters.ts';
import { closedRow, liveRow, type Rates, type Row } from './row.ts';
import { statusOf } from './status-routes.ts';

const TICK_MS = 1_000;
/** A comment keeps what stands between from closing a quiet connection. */
const COMMENT_MS = 15_000;
const VIEWERS_MAX = 32;
/** What a viewer may leave unread; a snapshot of 10,000 rows has 5 MB. Then it is dropped, and comes back by itself. */
const UNREAD_BYTES_MAX = 16 * 1_048_576;

/** What was sent of a row: it is sent again when one of these differs. */
interface Sent {
  readonly up: number;
  readonly down: number;
  readonly rates: Rates;
  readonly state: string;
  readonly status: number | undefined;
  readonly heldBy: string | undefined;
  readonly route: string | undefined;
  readonly name: string | undefined;
}

/**
 * Sends what changes to everyone who looks: one look at all requests a second, and one encoding for all viewers. Without a
 * viewer nothing is done.
 */
export class EventFeed implements Disposable {
  readonly #deps: ApiDeps;
  readonly #names: Pick<ClientNames, 'nameOf'>;
  readonly #viewers = new Set<ServerResponse>();
  #timer: Disposable | undefined;
  #cursor: EndedCursor | undefined;
  #sent: ReadonlyMap<string, Sent> = new Map();
  #sentMs = 0;
  #series = new CounterSeries();
  #commentMs = 0;

  constructor(deps: ApiDeps, names: Pick<ClientNames, 'nameOf'>) {
    this.#deps = deps;
    this.#names = names;
  }

  /** Answers with a snapshot, and goes on until the viewer leaves. */
  async open(response: ServerResponse): Promise<'written'> {
    if (this.#viewers.size >= VIEWERS_MAX) {
      throw new AdminError(503, 'viewers', `${VIEWERS_MAX} viewers are connected; close one.`);
    }
    const { proxy, clock } = this.#deps;
    const isFirst = this.#viewers.size === 0;
    this.#viewers.add(response);
    response.on('close', () => this.#leave(response));
    const seen = await proxy.look(undefined);
    if (!this.#viewers.has(response)) return 'written';
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    // The rates of the others' next event count from their last one.
    const series = isFirst ? this.#series : new CounterSeries();
    const snapshot = {
      status: statusOf(this.#deps),
      counters: series.next(seen, clock.now(), clock.wallMs()),
      tunnels: seen.live.map((one) => liveRow(one, this.#nameOf(one.record), this.#sent.get(one.record.id)?.rates)),
      closed: seen.ended.map((record) => closedRow(record, this.#nameOf(record))),
    };
    if (isFirst) {
      this.#remember(seen.live, () => undefined, clock.now());
      this.#cursor = seen.cursor;
      this.#commentMs = clock.now();
    }
    this.#write(response, encoded('snapshot', snapshot));
    this.#schedule();
    return 'written';
  }

  /** A line of the log, for everyone who looks. */
  log(level: string, message: string): void {
    if (this.#viewers.size === 0) return;
    this.#broadcast(encoded('log', { at: new Date(this.#deps.clock.wallMs()).toISOString(), level, message }));
  }

  /** What was signed in by a token that is valid no more ends. */
  closeAll(): void {
    for (const viewer of this.#viewers) viewer.end();
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.closeAll();
  }

  #leave(viewer: ServerResponse): void {
    this.#viewers.delete(viewer);
    if (this.#viewers.size > 0) return;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#cursor = undefined;
    this.#sent = new Map();
    this.#series = new CounterSeries();
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#viewers.size === 0) return;
    this.#timer = this.#deps.clock.after(TICK_MS, () => {
      this.#tick()
        .catch((error: unknown) => {
          const message = `admin: events: ${error instanceof Error ? error.message : error}`;
          this.#deps.observe({ type: 'notice', level: 'error', message });
        })
        .finally(() => {
          this.#timer = undefined;
          this.#schedule();
        });
    });
  }

  async #tick(): Promise<void> {
    const { proxy, clock } = this.#deps;
    const seen = await proxy.look(this.#cursor);
    if (this.#viewers.size === 0) return;
    const nowMs = clock.now();
    this.#cursor = seen.cursor;
    const changed: Row[] = [];
    this.#remember(seen.live, (one, rates) => changed.push(liveRow(one, this.#nameOf(one.record), rates)), nowMs);
    const change = {
      counters: this.#series.next(seen, nowMs, clock.wallMs()),
      tunnels: changed,
      closed: seen.ended.map((record) => closedRow(record, this.#nameOf(record))),
    };
    this.#broadcast(encoded('change', { at: change.counters.at, ...change }));
    if (nowMs - this.#commentMs < COMMENT_MS) return;
    this.#commentMs = nowMs;
    this.#broadcast(Buffer.from(':\n\n'));
  }

  /** Calls back for each row that is not as it was sent. */
  #remember(live: readonly LiveRequest[], onChanged: (one: LiveRequest, rates: Rates) => void, nowMs: number): void {
    const seconds = Math.max(1, nowMs - this.#sentMs) / 1000;
    const next = new Map<string, Sent>();
    for (const one of live) {
      const { record, step, heldBy } = one;
      const before = this.#sent.get(record.id);
      const rates: Rates = {
        up: before === undefined ? 0 : Math.round((record.bytesUp - before.up) / seconds),
        down: before === undefined ? 0 : Math.round((record.bytesDown - before.down) / seconds),
      };
      const now: Sent = {
        up: record.bytesUp,
        down: record.bytesDown,
        rates,
        state: step ?? '',
        status: record.status,
        heldBy,
        route: record.route?.via,
        name: this.#nameOf(record),
      };
      next.set(record.id, now);
      if (before === undefined || differs(before, now)) onChanged(one, rates);
    }
    this.#sent = next;
    this.#sentMs = nowMs;
  }

  #nameOf({ client }: ProxyRecord): string | undefined {
    return this.#names.nameOf(client.address);
  }

  #broadcast(bytes: Buffer): void {
    for (const viewer of this.#viewers) if (viewer.headersSent) this.#write(viewer, bytes);
  }

  #write(viewer: ServerResponse, bytes: Buffer): void {
    if (viewer.writableLength > UNREAD_BYTES_MAX) return void viewer.destroy();
    viewer.write(bytes);
  }
}

const differs = (one: Sent, other: Sent): boolean =>
  one.up !== other.up ||
  one.down !== other.down ||
  one.rates.up !== other.rates.up ||
  one.rates.down !== other.rates.down ||
  one.state !== other.state ||
  one.status !== other.status ||
  one.heldBy !== other.heldBy ||
  one.route !== other.route ||
  one.name !== other.name;

const encoded = (event: string, data: unknown): Buffer =>
  Buffer.from(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);

import type { Row } from '../../dashboard/src/api/shape.ts';

const HOSTS = [
  'registry.npmjs.example:443',
  'github.example:443',
  'mail.corp.example:993',
  'updates.vendor.example:443',
  'video-cdn-17.media.example:443',
  'api.telemetry.example:443',
  'pypi.example:443',
  'ads.example:443',
  '[2001:db8::25]:443',
  'mirror.debian.example:80',
];
const USERS = ['alice', 'bob', 'ci', undefined];
const ROUTES = [
  'direct',
  'http://proxy.corp.example:8080',
  'direct',
  'http://a.corp.example:3128 http://edge.example:8080',
];
const FAILURES = ['dns_failed', 'connection_refused', 'denied', 'connect_timeout'];
/** How many rows move bytes in a tick. */
const MOVING = 200;
/** How many of them stop in a tick, and as many others start. */
const SHIFT = 9;
const ENDING = 0.03;

/** A row as the API sends it, with what a test cares about. */
export function rowOf(id: string, more: Partial<Row> = {}): Row {
  return {
    id,
    kind: 'tunnel',
    target: `${id}.example:443`,
    method: 'CONNECT',
    client: '10.1.0.7',
    clientPort: 50_000,
    listener: 'http://127.0.0.1:3128',
    route: 'direct',
    rule: 'default',
    limits: [],
    state: 'relay',
    startedAt: new Date(Date.now() - 5_000).toISOString(),
    ageMs: 5_000,
    bytesUp: 1_000,
    bytesDown: 2_000,
    rateUp: 0,
    rateDown: 0,
    status: 200,
    address: '192.0.2.10',
    timings: { identify: 0.2, admit: 0.4, route: 3.1, connect: 38.5, wait: 0.1 },
    ...more,
  };
}

/** Traffic that looks like that of an office; the same in each run. */
export class MadeTraffic {
  readonly #count: number;
  #rows: Row[] = [];
  #made = 0;
  #first = 0;
  #seed = 7;

  constructor(count: number) {
    this.#count = count;
  }

  begin(): Row[] {
    this.#rows = Array.from({ length: this.#count }, () => this.#make());
    return this.#rows;
  }

  /** One second later: some rows moved, some stopped, some ended and as many began. */
  next(): Row[] {
    const moving = Math.min(MOVING, this.#count);
    const stopped = this.#at(this.#first, SHIFT).map((place) => this.#stopped(place));
    this.#first = (this.#first + SHIFT) % this.#count;
    return [...stopped, ...this.#at(this.#first, moving).map((place) => this.#step(place))].flat();
  }

  #at(first: number, count: number): number[] {
    return Array.from({ length: Math.min(count, this.#count) }, (_, more) => (first + more) % this.#count);
  }

  #stopped(place: number): Row[] {
    const row = this.#rows[place];
    if (row === undefined) return [];
    const { heldBy: _, ...rest } = row;
    const fresh: Row = { ...rest, rateUp: 0, rateDown: 0 };
    this.#rows[place] = fresh;
    return [fresh];
  }

  #step(place: number): Row[] {
    const row = this.#rows[place];
    if (row === undefined) return [];
    if (this.#random() >= ENDING) {
      const moved = this.#moved(row);
      this.#rows[place] = moved;
      return [moved];
    }
    const begun = this.#make();
    this.#rows[place] = begun;
    return [this.#ended(row), begun];
  }

  #make(): Row {
    this.#made += 1;
    const ageMs = Math.floor(this.#random() ** 4 * 7_200_000);
    const user = this.#pick(USERS);
    return rowOf(`r${this.#made}`, {
      target: this.#pick(HOSTS),
      client: `10.1.0.${1 + (this.#made % 40)}`,
      ...(this.#made % 3 === 0 ? { clientName: `laptop-${this.#made % 40}.lan.example` } : {}),
      ...(user === undefined ? {} : { user }),
      route: this.#pick(ROUTES),
      startedAt: new Date(Date.now() - ageMs).toISOString(),
      ageMs,
      bytesUp: Math.floor(this.#random() ** 3 * 4e6),
      bytesDown: Math.floor(this.#random() ** 4 * 9e8),
    });
  }

  #moved(row: Row): Row {
    // A row keeps its pace more or less, as downloads do.
    const pace = row.rateDown > 0 ? row.rateDown : this.#random() ** 9 * 6e6;
    const rateDown = Math.floor(pace * (0.8 + 0.4 * this.#random()));
    const rateUp = Math.floor(rateDown * 0.04 + this.#random() ** 20 * 2e5);
    const { heldBy: _, ...rest } = row;
    return {
      ...rest,
      ageMs: Date.now() - Date.parse(row.startedAt),
      rateDown,
      rateUp,
      bytesDown: row.bytesDown + rateDown,
      bytesUp: row.bytesUp + rateUp,
      limits: ['whole', 'downloads'],
      ...(this.#random() < 0.06 ? { heldBy: 'downloads' } : {}),
    };
  }

  #ended(row: Row): Row {
    const { heldBy: _, ...rest } = row;
    const ended: Row = {
      ...rest,
      state: 'closed',
      rateUp: 0,
      rateDown: 0,
      ageMs: Date.now() - Date.parse(row.startedAt),
    };
    if (this.#random() < 0.6) return { ...ended, end: 'client' };
    return { ...ended, status: 502, failure: this.#pick(FAILURES), detail: 'made for the tests' };
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)] as T;
  }

  /** A small linear congruential generator: tests and screenshots see the same traffic each time. */
  #random(): number {
    this.#seed = (this.#seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return this.#seed / 2_147_483_648;
  }
}

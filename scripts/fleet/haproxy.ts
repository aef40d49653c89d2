import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';

/** One connection of a client that has ended, as HAProxy's log has it (`option tcplog`). */
export interface LoggedSession {
  readonly clientPort: number;
  /** When it was accepted, by the wall clock: a port is used again, in a long drill. */
  readonly acceptedMs: number;
  /** `viaduct1`; `<NOSRV>`: no instance could be reached. */
  readonly server: string;
  /** Attempts to connect that failed before; HAProxy marks with + that another instance got it then. */
  readonly retries: string;
}

const LINE =
  /^[\d.]+:(\d+) \[(\d+)\/(\w+)\/(\d+):([\d:.]+)\] proxy viaduct\/(\S+) -?\d+\/-?\d+\/\+?\d+ \+?\d+ \S\S \d+\/\d+\/\d+\/\d+\/(\+?\d+) /;

/** A client that connects waits so long for HAProxy, on a busy machine. */
const ACCEPTED_MS = 5_000;

/** A client, by its port and by when it connected. */
export interface LoggedClient {
  readonly clientPort: number;
  readonly startedMs: number;
}

/** The instance that had a client; `undefined`: it is not in the log yet. */
export function serverOf(
  sessions: readonly LoggedSession[],
  { clientPort, startedMs }: LoggedClient,
): string | undefined {
  const distance = ({ acceptedMs }: LoggedSession): number => Math.abs(acceptedMs - startedMs);
  const [nearest] = sessions
    .filter((session) => session.clientPort === clientPort && distance(session) < ACCEPTED_MS)
    .sort((one, other) => distance(one) - distance(other));
  return nearest?.server;
}

/** Every session in a log that is written in UTC, in the order of their ends. */
export function sessionsIn(log: string): LoggedSession[] {
  return log.split('\n').flatMap((line) => {
    const [, port, day, month, year, time, server, retries] = LINE.exec(line) ?? [];
    if (server === undefined || retries === undefined) return [];
    const acceptedMs = Date.parse(`${day} ${month} ${year} ${time} UTC`);
    return [{ clientPort: Number(port), acceptedMs, server, retries }];
  });
}

/** HAProxy as it runs: its view of the instances, and its log. */
export class HaproxyView {
  readonly #socket: string;
  readonly #log: string;

  constructor(socket: string, log: string) {
    this.#socket = socket;
    this.#log = log;
  }

  log(): string {
    return readFileSync(this.#log, 'utf8');
  }

  /** `UP`, `DOWN`, `UP 1/2`, … */
  async statusOf(server: string): Promise<string | undefined> {
    return (await this.#row(server)).get('status');
  }

  /** Connections that it has open to an instance. */
  async openTo(server: string): Promise<number> {
    return Number((await this.#row(server)).get('scur'));
  }

  async #row(server: string): Promise<ReadonlyMap<string, string>> {
    const socket = connect(this.#socket);
    // Not end(): a client that ends gets no answer.
    socket.write('show stat\n');
    const [head = '', ...rows] = (await text(socket)).replace(/^# /, '').split('\n');
    const row = rows.find((line) => line.startsWith(`viaduct,${server},`))?.split(',') ?? [];
    return new Map(head.split(',').map((name, at) => [name, row[at] ?? '']));
  }
}

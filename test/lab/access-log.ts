import { readFileSync } from 'node:fs';
import { until } from '../support/until.ts';

/** A request as Squid saw it. A tunnel is logged when it ends, everything else when it has been answered. */
export interface LoggedRequest {
  readonly status: number;
  readonly method: string;
  readonly url: string;
  /** The user that Squid authenticated, if it did. */
  readonly user: string | undefined;
  /** Tells connections apart. */
  readonly clientPort: number;
  /** Head and body as they arrived. */
  readonly bytesReceived: number;
  /** `Proxy-Authorization` as it was sent, one character per byte. */
  readonly credentials: string | undefined;
}

/** For squid.conf; the credentials come last, because they have spaces. */
export const LOG_FORMAT = 'lab %>Hs %rm %ru %un %>p %>st %{Proxy-Authorization}>h';
const LINE = /^(\d+) (\S+) (\S+) (\S+) (\d+) (\d+) (.*)$/;

/** The requests that Squid has logged. */
export class AccessLog {
  readonly #path: string;
  #forgotten = 0;

  constructor(path: string) {
    this.#path = path;
  }

  entries(): LoggedRequest[] {
    const lines = readFileSync(this.#path, 'latin1').split('\n').slice(0, -1);
    // Squid logs connections without a request too, such as those of the lab that check whether it listens.
    return lines
      .map(read)
      .filter(({ method }) => method !== '-')
      .slice(this.#forgotten);
  }

  /** Leaves out of later results what is there now. */
  forget(): void {
    this.#forgotten += this.entries().length;
  }

  /** The entries, once they are enough: Squid writes a line after the client has its answer. */
  async until(isEnough: (entries: readonly LoggedRequest[]) => boolean): Promise<LoggedRequest[]> {
    let entries: LoggedRequest[] = [];
    const isThere = () => {
      entries = this.entries();
      return isEnough(entries);
    };
    await until(isThere, "the requests are in Squid's log").catch((cause) => {
      throw new Error(`Squid has logged ${JSON.stringify(entries, undefined, 1)}`, { cause });
    });
    return entries;
  }
}

function read(line: string): LoggedRequest {
  const [, status, method = '', url = '', user = '', port, bytes, credentials = ''] = LINE.exec(line) ?? [];
  if (status === undefined) throw new Error(`Squid logged ${line}`);
  return {
    status: Number(status),
    method,
    url,
    user: user === '-' ? undefined : unescaped(user),
    clientPort: Number(port),
    bytesReceived: Number(bytes),
    credentials: credentials === '-' ? undefined : unescaped(credentials),
  };
}

/** Squid logs bytes that are special to it, or outside ASCII, as percent and two digits. Gives a character per byte. */
const unescaped = (text: string): string =>
  text.replace(/%([0-9A-F]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));

/** Whether a request begins a login without a proof: the first message of NTLM, bare or in SPNEGO. */
export function isOpening({ credentials }: LoggedRequest): boolean {
  const token = Buffer.from(credentials?.split(' ')[1] ?? '', 'base64');
  return token.includes(Buffer.from('NTLMSSP\0\x01\0\0\0', 'latin1'));
}

/** Requests in which an account was tried and turned down: a stale nonce of Digest is none (`stale` is not logged). */
export const failedLogins = (entries: readonly LoggedRequest[]): LoggedRequest[] =>
  entries.filter((entry) => entry.status === 407 && entry.credentials !== undefined && !isOpening(entry));

/** Logins of NTLM or Negotiate: messages with a proof. */
export const handshakes = (entries: readonly LoggedRequest[]): LoggedRequest[] =>
  entries.filter((entry) => /^(?:NTLM|Negotiate) /i.test(entry.credentials ?? '') && !isOpening(entry));

/** How many connections the requests came on. */
export const connectionsOf = (entries: readonly LoggedRequest[]): number =>
  new Set(entries.map(({ clientPort }) => clientPort)).size;

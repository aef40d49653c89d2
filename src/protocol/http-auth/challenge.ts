/** A challenge of a 407 or 401: `Digest realm="x", nonce="y"`, `Negotiate TOKEN`, a bare `NTLM` (RFC 9110 §11.3). */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string;
  readonly token68?: string;
  /** Names in lower case, quoted strings without their quotes. Of a name that comes twice the first value counts. */
  readonly params: ReadonlyMap<string, string>;
}

/** As large as a whole head may be (head-buffer.ts): a Negotiate token with a large Kerberos ticket nearly fills it. */
const FIELD_BYTES_MAX = 64 * 1024;
/** More than any server sends. Further ones are not read: a head full of commas must not become a thousand maps. */
const CHALLENGES_MAX = 32;
const PARAMS_MAX = 64;

/** Schemes that may begin without a comma before them, as some proxies send: `Negotiate NTLM`. */
const KNOWN: ReadonlySet<string> = new Set(['basic', 'bearer', 'digest', 'kerberos', 'negotiate', 'ntlm']);

/**
 * All challenges in the values of `Proxy-Authenticate` or `WWW-Authenticate`, in their order. Several lines are one list
 * (RFC 9110 §5.3), so parameters may continue in the next line. Never throws: text that is not a challenge is skipped as far
 * as possible, and an unreadable challenge is not used.
 */
export function parseChallenges(values: readonly string[]): readonly Challenge[] {
  const found: ChallengeBuilder[] = [];
  let left = FIELD_BYTES_MAX;
  for (const value of values) {
    const scan = new Scan(value.slice(0, left));
    left -= value.length;
    while (scan.more()) if (!takeItem(scan, found)) return found;
    if (left <= 0) break;
  }
  return found;
}

/** Parameters of a field that has no schemes: `Proxy-Authentication-Info` (RFC 9110 §11.6.3, RFC 7616 §3.5). */
export function parseAuthParams(value: string): ReadonlyMap<string, string> {
  const one: ChallengeBuilder = { scheme: '', params: new Map() };
  const scan = new Scan(value.slice(0, FIELD_BYTES_MAX));
  while (scan.more()) if (!takeParam(scan, scan.token(), one)) scan.skipItem();
  return one.params;
}

interface ChallengeBuilder {
  readonly scheme: string;
  token68?: string;
  readonly params: Map<string, string>;
}

/** Reads a scheme, with its token if it has one, or a parameter; `false` when the maximum of challenges is reached. */
function takeItem(scan: Scan, found: ChallengeBuilder[]): boolean {
  const afterComma = scan.afterComma;
  const word = scan.token();
  const current = found.at(-1);
  if (takeParam(scan, word, current)) return true;
  const scheme = word.toLowerCase();
  // `realm=two words` without quotes: were the second word a scheme, what follows would be its parameters.
  if (word === '' || !(afterComma || KNOWN.has(scheme))) {
    scan.skipItem();
    return true;
  }
  if (found.length === CHALLENGES_MAX) return false;
  const token68 = scan.token68();
  found.push({ scheme, ...(token68 === undefined ? {} : { token68 }), params: new Map() });
  return true;
}

function takeParam(scan: Scan, name: string, to: ChallengeBuilder | undefined): boolean {
  if (name === '' || !scan.equals()) return false;
  const value = scan.value();
  const key = name.toLowerCase();
  if (to !== undefined && !to.params.has(key) && to.params.size < PARAMS_MAX) to.params.set(key, value);
  return true;
}

/** Scans one field value, piece by piece. Every pattern is sticky and takes linear time. */
class Scan {
  readonly #text: string;
  #at = 0;
  /** Whether a new element of the list begins here. */
  afterComma = true;

  constructor(text: string) {
    this.#text = text;
  }

  /** Skips commas and blanks, empty elements with them (RFC 9110 §5.6.1.2). */
  more(): boolean {
    const skipped = this.#take(/[ \t,]*/y) ?? '';
    this.afterComma = this.#at === skipped.length || skipped.includes(',');
    return this.#at < this.#text.length;
  }

  token(): string {
    return this.#take(/[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y) ?? '';
  }

  equals(): boolean {
    return this.#take(/[ \t]*=[ \t]*/y) !== undefined;
  }

  /** A quoted string, or all characters before the next blank or comma. */
  value(): string {
    if (this.#text[this.#at] !== '"') return this.#take(/[^ \t,]+/y) ?? '';
    // Without its closing quote it ends with the value.
    return (this.#take(/"([^"\\]*(?:\\.[^"\\]*)*)(?:"|\\?$)/sy) ?? '').replace(/\\(.)/gs, '$1');
  }

  /** Only as the whole rest of the element: `Digest realm=x` has none. */
  token68(): string | undefined {
    const before = this.#at;
    const found = this.#take(/[ \t]+([\w\-.~+/]+=*)(?=[ \t]*(?:,|$))/y);
    if (found === undefined || !KNOWN.has(found.toLowerCase())) return found;
    // Proxies that send `Negotiate NTLM` mean two schemes.
    this.#at = before;
    return undefined;
  }

  skipItem(): void {
    this.#take(/(?:"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?$)|[^ \t,"])+/sy);
  }

  /** The group of the pattern, else the whole match. */
  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found === null) return undefined;
    this.#at += found[0].length;
    return found[1] ?? found[0];
  }
}

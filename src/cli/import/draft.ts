import { stringify } from 'yaml';
import { completeListen, isExposed, parseListen, type WrittenListen } from '../../clients/options.ts';
import { AUTH_SCHEMES, type AuthSchemeName } from '../../contracts/login-terms.ts';
import { isNoProxyEntry } from '../../protocol/matching/no-proxy.ts';
import { formatHop, parseProxyUrl } from '../../protocol/routes/proxy-url.ts';
import { isAddressBlock } from '../../settings/address-setting.ts';
import { quoted } from '../../util/redact.ts';

/** Something that was not carried over, and why. It repeats no value that may be secret. */
export interface SkippedEntry {
  readonly line: number;
  readonly what: string;
  readonly why: string;
}

/** A `viaduct.yaml` in the making, and what could not be carried over. */
export class Draft {
  readonly skipped: SkippedEntry[] = [];
  /** What the person still has to do, in order. */
  readonly todo: string[] = [];
  readonly listen: string[] = [];
  port: string | undefined;
  readonly allowClients: string[] = [];
  pac: string | undefined;
  readonly proxies: string[] = [];
  readonly noProxy: string[] = [];
  user: string | undefined;
  domain: string | undefined;
  readonly allowProxies: string[] = [];
  auth: readonly AuthSchemeName[] = AUTH_SCHEMES;
  kerberos = true;
  readonly timeouts: Record<string, string> = {};

  skip(line: number, what: string, why: string): void {
    this.skipped.push({ line, what, why });
  }

  addProxy(text: string, line: number, what: string): void {
    try {
      const hop = parseProxyUrl(text, 'user');
      this.proxies.push(hop.login === undefined ? text : formatHop(hop));
      if (hop.login !== undefined) this.skip(line, what, 'the login in the URL is never copied');
    } catch (error) {
      this.skip(line, what, error instanceof Error ? error.message : String(error));
    }
  }

  setPac(text: string, line: number, what: string): void {
    if (!text.includes('@')) this.pac = text;
    else this.skip(line, what, 'the login in the URL is never copied');
  }

  /** `*` at the end of an address and ranges become blocks; what cannot be expressed is skipped with a reason. */
  addNoProxy(text: string, line: number, what: string): void {
    const blocks = blocksOf(text) ?? (isNoProxyEntry(text) ? [text] : undefined);
    if (blocks === undefined) this.skip(line, what, `${quoted(text)} is not a valid host, address or block`);
    else this.noProxy.push(...blocks);
  }

  addClients(text: string, line: number, what: string): void {
    const blocks = blocksOf(text);
    if (blocks === undefined) this.skip(line, what, `${quoted(text)} is neither a valid address nor a block`);
    else this.allowClients.push(...blocks);
  }

  /**
   * A listener that others can reach needs a list of clients. Without one it listens on the same port of this machine
   * alone, with a line that says so: the result must be a configuration that `check` accepts.
   */
  keepOnLoopback(line: number, what: string): void {
    const exposed = this.listen.filter((address) => !isLoopback(address));
    if (exposed.length === 0 || this.allowClients.length > 0) return;
    const local = this.listen.flatMap((address) => (isLoopback(address) ? [address] : loopbackOf(address)));
    this.listen.splice(0, this.listen.length, ...local);
    this.skip(
      line,
      what,
      `everyone who reaches ${exposed.join(', ')} could use this proxy, so it listens on localhost; to serve others, add the address to listen and set clients: { allow: [...] }`,
    );
  }

  /** The text of the file, comments in front. */
  yaml(source: string): string {
    const settings = this.#settings();
    const body = Object.keys(settings).length === 0 ? '{}\n' : stringify(settings);
    return `# Made of ${source.replace(/[\r\n]/g, ' ')} by viaduct import. No secret is written here.\n${body}`;
  }

  #settings(): object {
    return {
      ...(this.listen.length > 0 && { listen: [...new Set(this.listen)] }),
      ...(this.port !== undefined && { port: Number(this.port) }),
      ...(this.allowClients.length > 0 && !this.listen.every(isLoopback) && { clients: { allow: this.allowClients } }),
      ...this.#routes(),
      // Authentication in another order than ours: at every proxy.
      ...(this.auth !== AUTH_SCHEMES && { upstreams: [{ host: '*', auth: this.auth }] }),
      ...this.#credentials(),
      ...(Object.keys(this.timeouts).length > 0 && { timeouts: this.timeouts }),
    };
  }

  #routes(): object {
    const routes = {
      ...(this.pac !== undefined && { pac: this.pac }),
      ...(this.noProxy.length > 0 && { noProxy: this.noProxy }),
      ...(this.proxies.length > 0 && { proxy: this.proxies }),
    };
    return Object.keys(routes).length > 0 ? { routes } : {};
  }

  #credentials(): object {
    const account = {
      ...(this.user !== undefined && { user: this.user }),
      ...(this.domain !== undefined && { domain: this.domain }),
    };
    const credentials = {
      ...(Object.keys(account).length > 0 && { default: account }),
      ...(this.allowProxies.length > 0 && { allow: this.allowProxies }),
      ...(!this.kerberos && { kerberos: false }),
    };
    return Object.keys(credentials).length > 0 ? { credentials } : {};
  }
}

const DEFAULT_PORT = 3128;

/** As `check` judges it. What is not a listener is reported when the result is checked. */
function isLoopback(address: string): boolean {
  const listen = listenOf(address);
  return listen === undefined || completeListen(listen, DEFAULT_PORT).every((one) => !isExposed(one));
}

/** The listener on this machine that has the port of an exposed one; none where that is what the result says anyway. */
function loopbackOf(address: string): string[] {
  const listen = listenOf(address);
  const port = listen?.kind === 'tcp' ? listen.port : undefined;
  return port === undefined || port === DEFAULT_PORT ? [] : [`localhost:${port}`];
}

function listenOf(address: string): WrittenListen | undefined {
  try {
    return parseListen(address);
  } catch {
    return undefined;
  }
}

/** `10.*`, `192.168.0.1-192.168.0.9`, an address or a block, as blocks; `undefined`: it has none of these forms. */
export function blocksOf(text: string): string[] | undefined {
  if (isAddressBlock(text)) return [text];
  const [, numbers, stars] = /^((?:\d{1,3}\.){0,3}\d{1,3})((?:\.\*)+)$/.exec(text) ?? [];
  if (numbers !== undefined && stars !== undefined) {
    const octets = numbers.split('.');
    const block = `${[...octets, ...'0000'].slice(0, 4).join('.')}/${octets.length * 8}`;
    return octets.length + stars.length / 2 <= 4 && isAddressBlock(block) ? [block] : undefined;
  }
  const [, first, last] = /^([\d.]+)-([\d.]+)$/.exec(text) ?? [];
  return first !== undefined && last !== undefined && isAddressBlock(first) && isAddressBlock(last)
    ? rangeBlocks(toNumber(first), toNumber(last))
    : undefined;
}

const toNumber = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
const toAddress = (number: number): string =>
  [24, 16, 8, 0].map((bits) => Math.floor(number / 2 ** bits) % 256).join('.');

/** The fewest blocks that are exactly this range: at most 62. */
function rangeBlocks(first: number, last: number): string[] | undefined {
  if (first > last) return undefined;
  const blocks: string[] = [];
  for (let at = first; at <= last; ) {
    let bits = 0;
    while (bits < 32 && at % 2 ** (bits + 1) === 0 && at + 2 ** (bits + 1) - 1 <= last) bits++;
    blocks.push(`${toAddress(at)}/${32 - bits}`);
    at += 2 ** bits;
  }
  return blocks;
}

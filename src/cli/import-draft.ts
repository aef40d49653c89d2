import { stringify } from 'yaml';
import { isAddressBlock } from '../core/address-setting.ts';
import { AUTH_SCHEMES, type AuthSchemeName } from '../core/contracts.ts';
import { isNoProxyEntry } from '../protocol/no-proxy.ts';
import { formatHop, parseProxyUrl, withoutLogin } from '../protocol/proxy-url.ts';

/** Something that was not carried over, and why. It repeats no value that may be secret. */
export interface Left {
  readonly line: number;
  readonly what: string;
  readonly why: string;
}

/** A `viaduct.yaml` in the making, and what is told beside it. */
export class Draft {
  readonly left: Left[] = [];
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

  leave(line: number, what: string, why: string): void {
    this.left.push({ line, what, why });
  }

  addProxy(text: string, line: number, what: string): void {
    try {
      const hop = parseProxyUrl(text, 'user');
      this.proxies.push(hop.login === undefined ? text : formatHop(hop));
      if (hop.login !== undefined) this.leave(line, what, 'the login in the URL is never copied');
    } catch (error) {
      this.leave(line, what, error instanceof Error ? error.message : String(error));
    }
  }

  setPac(text: string, line: number, what: string): void {
    if (withoutLogin(text) === text) this.pac = text;
    else this.leave(line, what, 'the login in the URL is never copied');
  }

  /** `*` at the end of an address and ranges become blocks; what cannot be said is told. */
  addNoProxy(text: string, line: number, what: string): void {
    const blocks = blocksOf(text) ?? (isNoProxyEntry(text) ? [text] : undefined);
    if (blocks === undefined) this.leave(line, what, `${JSON.stringify(text)} is no host, address or block`);
    else this.noProxy.push(...blocks);
  }

  addClients(text: string, line: number, what: string): void {
    const blocks = blocksOf(text);
    if (blocks === undefined) this.leave(line, what, `${JSON.stringify(text)} is no address and no block`);
    else this.allowClients.push(...blocks);
  }

  /** A listener that others can reach needs a list of clients; without one it stays on this machine, and that is told. */
  keepHome(line: number, what: string): void {
    const exposed = this.listen.filter((address) => !isLoopback(address));
    if (exposed.length === 0 || this.allowClients.length > 0) return;
    this.listen.splice(0, this.listen.length, ...this.listen.filter(isLoopback));
    this.leave(
      line,
      what,
      `everyone who reaches ${exposed.join(', ')} could use this proxy; add it to listen, and say who may with clients: { allow: [...] }`,
    );
  }

  /** The text of the file, comments in front. */
  yaml(source: string): string {
    const settings = {
      ...(this.listen.length > 0 && { listen: this.listen }),
      ...(this.port !== undefined && { port: Number(this.port) }),
      ...(this.allowClients.length > 0 && !this.listen.every(isLoopback) && { clients: { allow: this.allowClients } }),
      ...this.#routes(),
      // Authentication in another order than ours: at every proxy.
      ...(this.auth !== AUTH_SCHEMES && { upstreams: [{ host: '*', auth: this.auth }] }),
      ...this.#credentials(),
      ...(Object.keys(this.timeouts).length > 0 && { timeouts: this.timeouts }),
    };
    const body = Object.keys(settings).length === 0 ? '{}\n' : stringify(settings);
    return `# Made of ${source.replace(/[\r\n]/g, ' ')} by viaduct import. No secret is written here.\n${body}`;
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

const isLoopback = (address: string): boolean => /^(localhost|127\.|\[?::1)/.test(address);

/** `10.*`, `192.168.0.1-192.168.0.9`, an address or a block, as blocks; `undefined`: it is none of these. */
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

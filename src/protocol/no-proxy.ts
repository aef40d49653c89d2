import { domainToASCII } from 'node:url';
import type { Authority } from '../core/request.ts';
import { HostIndex, hostQuery } from './host-index.ts';
import { parseCidr } from './ip-address.ts';

/** One exception as it is looked up. */
interface NoProxyEntry {
  /** In the form that HostIndex takes; `<local>`: every name without a dot. */
  readonly pattern: string;
  readonly port: number | undefined;
}

const NAME = /^(?:[a-z0-9_*-]{1,63}\.)*[a-z0-9_*-]{1,63}$/;
const LOOKS_LIKE_AN_ADDRESS = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;
const LOCAL = '<local>';

/** Entries of `NO_PROXY`: commas or spaces between them, any number of both. */
export const splitNoProxy = (text: string): string[] => text.split(/[\s,]+/).filter((entry) => entry !== '');

/** Whether an entry can ever match: anything else is a slip, or written for a program with a grammar of its own. */
export const isNoProxyEntry = (text: string): boolean => parseEntry(text) !== undefined;

/**
 * Hosts that are reached directly, as curl reads `NO_PROXY`: a name means itself and all below it, with or without a
 * dot in front; addresses and blocks mean literal addresses, since no name is resolved for this; `*` means everything.
 * Beyond curl: `host:port`, `*` inside a name, and the `<local>` of Windows for names without a dot.
 * The function says which entry matched, the first of them; entries that are none match nothing.
 */
export function noProxyMatcher(entries: readonly string[]): (target: Authority) => string | undefined {
  const index = new HostIndex();
  const ports: (number | undefined)[] = [];
  let localAt: number | undefined;
  for (const [at, text] of entries.entries()) {
    const entry = parseEntry(text);
    ports.push(entry?.port);
    if (entry?.pattern === LOCAL) localAt ??= at;
    else if (entry !== undefined) index.add(entry.pattern, at, 'written');
  }
  if (entries.length === 0) return () => undefined;
  return ({ host, port }) => {
    const query = hostQuery(host);
    let first = localAt !== undefined && isPlain(query.name) ? localAt : Number.POSITIVE_INFINITY;
    for (const list of index.find(query)) {
      const at = list.find((one) => ports[one] === undefined || ports[one] === port);
      if (at !== undefined && at < first) first = at;
    }
    return entries[first];
  };
}

const isPlain = (name: string): boolean => !/[.:]/.test(name);

function parseEntry(text: string): NoProxyEntry | undefined {
  const lower = text.trim().toLowerCase();
  if (lower === LOCAL) return { pattern: LOCAL, port: undefined };
  if (parseCidr(lower)) return { pattern: lower, port: undefined };
  const [, bracketed, bare = '', digits] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([1-9]\d{0,4}))?$/.exec(lower) ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  const block = bracketed ?? bare;
  if (parseCidr(block)) return { pattern: block, port };
  const name = asciiName(bare.replace(/\.$/, ''));
  if (name.includes('*') && NAME.test(name)) return { pattern: name, port };
  const plain = name.replace(/^\./, '');
  return NAME.test(plain) && !LOOKS_LIKE_AN_ADDRESS.test(plain) ? { pattern: `.${plain}`, port } : undefined;
}

/** ASCII stays as it is: a URL parser would turn `0x7f.1` into an address. */
const asciiName = (name: string): string => (/^[\0-\x7f]*$/.test(name) ? name : domainToASCII(name.normalize('NFC')));

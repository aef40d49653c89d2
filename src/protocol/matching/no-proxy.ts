import { domainToASCII } from 'node:url';
import type { Authority } from '../../contracts/request.ts';
import { atOnce, type Sliced } from '../../util/slices.ts';
import { parseCidr } from '../addresses/ip-address.ts';
import { HostIndex, hostQuery } from './host-index.ts';

/** One exception, parsed. */
interface NoProxyEntry {
  /** In the notation of HostIndex; `<local>`: every name without a dot. */
  readonly pattern: string;
  readonly port: number | undefined;
}

const NAME = /^(?:[a-z0-9_*-]{1,63}\.)*[a-z0-9_*-]{1,63}$/;
const LOOKS_LIKE_AN_ADDRESS = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;
const LOCAL = '<local>';

/** Entries of `NO_PROXY`: commas or spaces between them, any number of both. */
export const splitNoProxy = (text: string): string[] => text.split(/[\s,]+/).filter((entry) => entry !== '');

/** Whether an entry is valid. Others are typos, or written for a program with another grammar. */
export const isNoProxyEntry = (text: string): boolean => parseEntry(text) !== undefined;

type NoProxyMatcher = (target: Authority) => string | undefined;

/** As `buildNoProxyMatcher`, in one go. */
export const noProxyMatcher = (entries: readonly string[]): NoProxyMatcher => atOnce(buildNoProxyMatcher(entries));

/**
 * Hosts that are reached directly, as curl reads `NO_PROXY`: a name means itself and all below it, with or without a
 * dot in front; addresses and blocks mean literal addresses, since no name is resolved for this; `*` means everything.
 * Beyond curl: `host:port`, `*` inside a name, and the `<local>` of Windows for names without a dot.
 * The function returns the first entry that matches; invalid entries match nothing.
 */
export function* buildNoProxyMatcher(entries: readonly string[]): Sliced<NoProxyMatcher> {
  const index = new HostIndex();
  const ports: (number | undefined)[] = [];
  let localAt: number | undefined;
  for (const [at, text] of entries.entries()) {
    yield;
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

/** ASCII stays unchanged: a URL parser would turn `0x7f.1` into an address. */
const asciiName = (name: string): string => (/^[\0-\x7f]*$/.test(name) ? name : domainToASCII(name.normalize('NFC')));

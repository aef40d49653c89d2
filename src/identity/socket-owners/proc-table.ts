import { readFileSync } from 'node:fs';
import type { TcpEnd } from '../../net/peer-uid.ts';
import { hexDigits, kernelAddress } from '../../protocol/addresses/kernel-address.ts';

/** The kernel's tables of TCP sockets (proc(5)). */
const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'] as const;

/**
 * A reading serves the connections that were waiting at that moment: with thousands of sockets it takes 20 ms, and a browser
 * opens twenty connections at once. Short, since another user could take over the port of a client that has left.
 */
const FRESH_MS = 10;

/** The kernel's tables of sockets, as they were a moment ago. `read` gives the text of one. */
export class ProcTable {
  readonly #read: (path: string) => string;
  #tables: readonly string[] = [];
  #readAtMs = Number.NEGATIVE_INFINITY;
  /** Connections that were asked about since: one that is accepted again is another connection. */
  readonly #asked = new Set<string>();

  constructor(read: (path: string) => string) {
    this.#read = read;
  }

  ownerOf(from: TcpEnd, to: TcpEnd): number | undefined {
    const ends = FORMS.map((form) => ({ from: form(from), to: form(to) }));
    const key = ends.map((end) => `${end.from} ${end.to}`).join();
    const isFresh = performance.now() - this.#readAtMs < FRESH_MS && !this.#asked.has(key);
    const owner = isFresh ? this.#find(ends) : undefined;
    if (owner === undefined) this.#readAll();
    this.#asked.add(key);
    return owner ?? this.#find(ends);
  }

  #readAll(): void {
    this.#tables = TABLES.map(this.#read);
    this.#readAtMs = performance.now();
    this.#asked.clear();
  }

  #find(ends: readonly KernelEnds[]): number | undefined {
    for (const table of this.#tables) {
      for (const { from, to } of ends) {
        const uid = uidIn(table, from, to);
        if (uid !== undefined) return uid;
      }
    }
    return undefined;
  }
}

/** The ends of a connection as the kernel prints them. */
interface KernelEnds {
  readonly from: string;
  readonly to: string;
}

/**
 * A busy machine has thousands of lines, and each new connection waits for this: only those with the address are looked at. A
 * socket that no process has any more has no inode, and is printed as one of root.
 */
function uidIn(table: string, from: string, to: string): number | undefined {
  const text = ` ${from} ${to} `;
  const at = table.indexOf(text);
  if (at < 0) return undefined;
  const [, , , , , uid, , inode] = table.slice(at + text.length - 1, table.indexOf('\n', at)).split(/\s+/);
  return inode === '0' || uid === undefined ? undefined : Number(uid);
}

/** A socket for both families has an IPv4 address in the form that is mapped into IPv6. */
const FORMS: readonly ((end: TcpEnd) => string)[] = [
  ({ address, port }) => `${kernelAddress(address)}:${hexDigits(port, 4)}`,
  ({ address, port }) => `0000000000000000FFFF0000${kernelAddress(address)}:${hexDigits(port, 4)}`,
];

/** The text of a small file of this machine; empty where there is none, or none may read it. */
export function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

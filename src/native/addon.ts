import { createRequire } from 'node:module';
import type { RelayKind } from './options.ts';

/** Slots in one block of counters. */
export const SLOTS_PER_BLOCK = 1_024;

/** Codes of `Order` and `News` in native/relay.h. */
export const ORDERS = { cut: 0, abort: 1, release: 2 } as const;
export const NEWS = { half: 0, over: 1, released: 2 } as const;
/** Codes of `End` in native/tunnel.h; the first two say who ended first. */
export const ENDS = { client: 0, upstream: 1, error: 2, stopped: 3 } as const;

/** What native/addon.cc exports. */
export interface Addon {
  /** Starts the thread. Throws when the system has none to give. */
  start(onNews: (news: Int32Array) => void, slotsPerBlock: number): void;
  addBlock(counters: ArrayBuffer): void;
  /** 0, or the errno for which nothing was taken. */
  take(slot: number, client: number, upstream: number, clientEarly: Buffer, upstreamEarly: Buffer): number;
  order(slot: number, order: number): void;
  collect(slot: number): [client: number, upstream: number, fromClient: Buffer, fromUpstream: Buffer];
  hold(tunnels: number): void;
}

export type Loaded = { readonly addon: Addon } | { readonly addon: undefined; readonly why: string };

/** Where the build puts it, seen from the bundled command, from the library in dist/lib/relay/, and from src/relay/. */
const FOLDERS = ['./native/', '../../native/', '../../dist/native/'];

/** One binary for each C library; that which does not fit does not load. */
const namesHere = (): string[] => ['', '-musl'].map((libc) => `${process.platform}-${process.arch}${libc}.node`);

let loaded: Loaded | undefined;

/** The addon for this machine, where it was built. Never throws: everything works without it. */
export function loadAddon(): Loaded {
  loaded ??= find();
  return loaded;
}

/** Which relay moves the bytes of plain tunnels, on this machine. */
export const activeRelay = (wanted: RelayKind): 'native' | 'portable' =>
  wanted !== 'portable' && loadAddon().addon !== undefined ? 'native' : 'portable';

/** Why the relay that is asked for is not there; `undefined` when it is. */
export function relayProblem(wanted: RelayKind): string | undefined {
  if (wanted !== 'native') return undefined;
  const loaded = loadAddon();
  return loaded.addon === undefined ? loaded.why : undefined;
}

function find(): Loaded {
  if (process.platform !== 'linux') return { addon: undefined, why: 'it is for Linux only' };
  const require = createRequire(import.meta.url);
  let why = 'it is not built; `npm run build` does so where there is a C++ compiler';
  for (const folder of FOLDERS) {
    for (const name of namesHere()) {
      try {
        const addon: unknown = require(folder + name);
        if (isAddon(addon)) return { addon };
        why = `${name} is another one; \`npm run build\``;
      } catch (error) {
        if (!isMissing(error)) why = `${name}: ${error instanceof Error ? error.message : error}`;
      }
    }
  }
  return { addon: undefined, why };
}

const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND';

function isAddon(value: unknown): value is Addon {
  if (typeof value !== 'object' || value === null) return false;
  return ['start', 'addBlock', 'take', 'order', 'collect', 'hold'].every(
    (name) => typeof Reflect.get(value, name) === 'function',
  );
}

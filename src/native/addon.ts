import { createRequire } from 'node:module';

/** Slots in one block of counters. */
export const SLOTS_PER_BLOCK = 1_024;

/** Codes of `Order` and `News` in native/relay.h. */
export const ORDERS = { cut: 0, abort: 1, release: 2, probe: 3 } as const;
export const NEWS = { half: 0, over: 1, released: 2 } as const;
/** Codes of `End` in native/tunnel.h; the first two say who ended first. */
export const ENDS = { client: 0, upstream: 1, error: 2, stopped: 3 } as const;

/** What native/addon.cc exports. */
export interface Addon {
  /** Starts the thread. Throws when the system has none to give. */
  start(onNews: (news: Int32Array) => void, slotsPerBlock: number): void;
  addBlock(counters: ArrayBuffer): void;
  /** 0, or the errno for which nothing was taken. Bit 0 of `given`: it owns the client's descriptor, bit 1: the upstream's. */
  take(
    slot: number,
    client: number,
    upstream: number,
    clientEarly: Buffer,
    upstreamEarly: Buffer,
    given: number,
  ): number;
  order(slot: number, order: number): void;
  collect(
    slot: number,
  ): [client: number, upstream: number, fromClient: Buffer, fromUpstream: Buffer, firstToEnd: number];
  hold(tunnels: number): void;
  readonly lane: LaneAddon;
}

/** Sizes and codes of native/lane.h. */
export const LANE = {
  socketsMax: 262_144,
  bufferBytes: 262_144,
  readBytes: 65_536,
  happenedMax: 1_024,
  numbersEach: 5,
} as const;
export const HAPPENED = {
  accepted: 0,
  connected: 1,
  bytes: 2,
  ended: 3,
  failed: 4,
  writable: 5,
  readable: 6,
  refused: 7,
} as const;
/** Bits of the byte that a socket shares with the lane. */
export const WANTED = 1;
export const READY = 2;
export const READS_ITSELF = 4;

/** What native/lane_module.cc exports: sockets are numbers, negative results are errnos. */
export interface LaneAddon {
  /** Throws when there is no lane on this Node or this system. */
  start(
    onTurn: (happened: number, hasMore: boolean) => void,
    states: ArrayBuffer,
    happened: ArrayBuffer,
    buffer: ArrayBuffer,
  ): void;
  turn(): void;
  listen(address: string, port: number, backlog: number, sharesPort: boolean): number;
  serve(listener: number): number;
  dial(address: string, port: number): number;
  later(socket: number): void;
  write(socket: number, bytes: Uint8Array): number;
  writeText(socket: number, latin1: string): number;
  read(socket: number, into: Uint8Array): number;
  shutDown(socket: number): number;
  close(socket: number): void;
  reset(socket: number): void;
  release(socket: number): number;
  size(): number;
  keepAlive(socket: number, afterSeconds: number): void;
  peer(socket: number): readonly [address: string, port: number];
  own(socket: number): readonly [address: string, port: number];
}

export type Loaded = { readonly addon: Addon } | { readonly addon: undefined; readonly why: string };

/** Where the build puts it, seen from the bundled command, from the library in dist/lib/native/, and from src/native/. */
const FOLDERS = ['./native/', '../../native/', '../../dist/native/'];

/** One binary for each C library; that which does not fit does not load. */
const namesHere = (): string[] => ['', '-musl'].map((libc) => `${process.platform}-${process.arch}${libc}.node`);

let loaded: Loaded | undefined;

/** The addon for this machine, where it was built. Never throws: everything works without it. */
export function loadAddon(): Loaded {
  loaded ??= find();
  return loaded;
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
  return (
    ['start', 'addBlock', 'take', 'order', 'collect', 'hold'].every(
      (name) => typeof Reflect.get(value, name) === 'function',
    ) && typeof Reflect.get(value, 'lane') === 'object'
  );
}

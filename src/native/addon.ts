import { createRequire } from 'node:module';
import { ABI } from './abi.ts';

/** What async_hooks show of a thread: as a handle of Node's it says whether it keeps the process alive. */
interface AsyncHandle {
  hasRef(): boolean;
}

/** What moves the bytes of tunnels. A tunnel has the number of a slot; a call with the number of one that is over does nothing. */
export interface RelayAddon {
  /** Starts the thread; `events` has space for RELAY_EVENTS_MAX events. Throws when the system has no thread left. */
  start(onEvents: (events: number) => void, events: ArrayBuffer, resource: AsyncHandle): void;
  addBlock(counters: ArrayBuffer): void;
  /** 0, or the errno for which nothing was taken. `flags` are `GIVEN_…` and `LIMITED_…` of abi.ts. */
  add(
    slot: number,
    client: number,
    upstream: number,
    clientEarly: Buffer,
    upstreamEarly: Buffer,
    flags: number,
  ): number;
  command(slot: number, command: number, grantedBytes: number): void;
  hold(tunnels: number): void;
}

/** What native/addon.cc exports. A socket has a number; a call with the number of one that is closed returns an error. */
export interface Addon extends RelayAddon {
  readonly abi: number;
  /** As `bound_silence` in native/silence.h, for a descriptor of Node's. */
  boundSilence(fd: number, afterMs: number, isBound: boolean): boolean;
  /** Keeps a descriptor from the programs that this one starts. 0, or an errno. */
  closeOnExec(fd: number): number;
  /** As sd_notify(3). 0, or an errno. */
  notify(path: Uint8Array, text: Uint8Array): number;
  /** The user at the other end of a Unix socket; -1: not known. */
  peerUid(fd: number): number;
  /** The user whose socket is the `from` end of a TCP connection to `to`, or a negative errno. Addresses have 4 or 16 bytes. */
  socketOwner(from: Uint8Array, fromPort: number, to: Uint8Array, toPort: number): number;
  /** All IP addresses of this machine; empty when the system has no answer, as without a descriptor. */
  interfaceAddresses(): readonly (readonly [interfaceName: string, address: string, prefix: number])[];
  /** What glibc keeps of memory that was freed goes back to the system. Takes a few milliseconds. */
  releaseFreeMemory(): void;
  readonly epollSockets: EpollAddon;
  readonly repeats: RepeatsAddon;
}

/** What native/repeats_module.cc exports. */
export interface RepeatsAddon {
  /** Once, when the relay and the epoll sockets have started. Throws when the system has no descriptor left. */
  begin(onReports: (reports: number) => void, reports: ArrayBuffer, counters: ArrayBuffer): void;
  /** Whether the next CONNECT of that client with exactly this head opens a tunnel to that target, and is reported as `decision`. */
  add(
    listener: number,
    client: string,
    localAddress: string,
    head: string,
    response: string,
    target: string,
    port: number,
    decision: number,
  ): boolean;
  /** Nothing that was added is repeated any more. Not 0: so many tunnels are to be reported before another `add` can succeed. */
  renew(): number;
  /** So many tunnels may be unreported. */
  setCredit(tunnels: number): void;
  unreported(): number;
  /** Milliseconds on the clock of the reports. */
  nowMs(): number;
}

/** What native/epoll_sockets_module.cc exports: sockets are numbers, negative results are errnos. */
export interface EpollAddon {
  /** Throws when this Node or this system cannot have them. */
  start(
    onTick: (events: number, hasMore: boolean) => void,
    states: ArrayBuffer,
    events: ArrayBuffer,
    buffer: ArrayBuffer,
  ): void;
  tick(): void;
  listen(address: string, port: number, backlog: number, sharesPort: boolean): number;
  serve(listener: number): number;
  pause(listener: number): void;
  /** An empty `from`: the system chooses the local address. */
  dial(address: string, port: number, from: string): number;
  readLater(socket: number): void;
  write(socket: number, bytes: Uint8Array): number;
  writeText(socket: number, latin1: string): number;
  read(socket: number, into: Uint8Array): number;
  /** Whether there is nothing to be read, not even an end. */
  isQuiet(socket: number): boolean;
  shutDown(socket: number): number;
  close(socket: number): void;
  reset(socket: number): void;
  /** -1 when it is closed. */
  takeFd(socket: number): number;
  size(): number;
  keepAlive(socket: number, afterSeconds: number): void;
  boundSilence(socket: number, afterMs: number): void;
  peer(socket: number): readonly [address: string, port: number];
  local(socket: number): readonly [address: string, port: number];
}

export type LoadedAddon = { readonly addon: Addon } | { readonly addon: undefined; readonly why: string };

/** Where the build puts it, as seen from the bundled command, from the library in dist/lib/native/, and from src/native/. */
const FOLDERS = ['./native/', '../../native/', '../../dist/native/'];

/** One binary for each C library; the one for another library does not load. */
const machines = (): string[] => ['', '-musl'].map((libc) => `${process.platform}-${process.arch}${libc}`);

/** The build of a checkout, then the packages that npm installs beside the published one. */
function candidates(): { readonly name: string; readonly path: string }[] {
  const built = FOLDERS.flatMap((folder) =>
    machines().map((one) => ({ name: `${one}.node`, path: `${folder}${one}.node` })),
  );
  const packaged = machines().map((one) => ({ name: `viaduct-native-${one}`, path: `viaduct-native-${one}` }));
  return [...built, ...packaged];
}

let loaded: LoadedAddon | undefined;

/** The addon for this machine, where it was built. Never throws: everything works without it. */
export function loadAddon(): LoadedAddon {
  loaded ??= find();
  return loaded;
}

function find(): LoadedAddon {
  if (process.platform !== 'linux') return { addon: undefined, why: 'it is for Linux only' };
  const require = createRequire(import.meta.url);
  let why = 'it is not built; `npm run build` builds it where there is a C++ compiler';
  for (const { name, path } of candidates()) {
    try {
      const checked = checkAbi(name, require(path));
      if (checked.addon !== undefined) return checked;
      why = checked.why;
    } catch (error) {
      if (!isMissing(error)) why = `${name}: ${error instanceof Error ? error.message : error}`;
    }
  }
  return { addon: undefined, why };
}

/** Codes, sizes and calls of another ABI would read and write the wrong memory, so such an addon is not used. */
export function checkAbi(name: string, exported: unknown): LoadedAddon {
  if (hasOurAbi(exported)) return { addon: exported };
  const abi: unknown = typeof exported === 'object' && exported !== null ? Reflect.get(exported, 'abi') : undefined;
  const why = `${name} was built from other sources (ABI ${abi ?? 'unknown'}, not ${ABI}); run \`npm run build\``;
  return { addon: undefined, why };
}

const hasOurAbi = (exported: unknown): exported is Addon =>
  typeof exported === 'object' && exported !== null && Reflect.get(exported, 'abi') === ABI;

const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND';

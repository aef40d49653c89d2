/** The first descriptor that a service manager passes (sd_listen_fds(3)). */
const FIRST_FD = 3;
/** More than any unit has; a number that is larger is no such number. */
const FDS_MAX = 1_024;

/** A socket that was taken over, or why there is none. */
export type InheritedSocket = { readonly fd: number } | { readonly why: string };

/** The sockets that a service manager has opened and passed to this process. Each can be taken once: closed, it is gone. */
export class InheritedSockets {
  /** In the order in which they came; empty: the socket has no name. */
  readonly #names: readonly string[];
  readonly #taken = new Set<number>();

  constructor(names: readonly string[]) {
    this.#names = names;
  }

  get count(): number {
    return this.#names.length;
  }

  /** Those that no listener has taken, as they are written in `listen`. */
  get untaken(): readonly string[] {
    return this.#names.flatMap((name, at) => (this.#taken.has(at) ? [] : [`systemd:${name || at}`]));
  }

  /** By name, or by position counted from 0; without either there must be one only. */
  take(which: string | undefined): InheritedSocket {
    const found = this.#names.flatMap((name, at) => (isNamed(which, name, at) ? [at] : []));
    const [at, ...others] = found;
    const all = this.#names.map((name, position) => name || position).join(', ');
    if (at === undefined) return { why: `the service manager has passed no such socket, but: ${all || 'none'}` };
    if (others.length > 0) {
      const byPosition = found.map((position) => `systemd:${position}`).join(', ');
      return { why: `the service manager has passed several sockets (${all}); name one: ${byPosition}` };
    }
    if (this.#taken.has(at)) return { why: 'this socket was taken before, and closed; restart the service' };
    this.#taken.add(at);
    return { fd: FIRST_FD + at };
  }

  /** The first one that is not taken and is meant by `isMeant`; `undefined`: there is none. */
  takeWhere(isMeant: (fd: number) => boolean): number | undefined {
    const at = this.#names.findIndex((_, position) => !this.#taken.has(position) && isMeant(FIRST_FD + position));
    if (at < 0) return undefined;
    this.#taken.add(at);
    return FIRST_FD + at;
  }
}

const isNamed = (which: string | undefined, name: string, at: number): boolean =>
  which === undefined || which === name || which === String(at);

/**
 * What the variables of the environment say, if they are meant for this process; they are removed, so that no program that
 * is started from here takes the sockets for its own. `keep` keeps a descriptor from such programs.
 */
export function takeInheritedSockets(
  environment: Record<string, string | undefined>,
  pid: number,
  keep: (fd: number) => void,
): InheritedSockets {
  const { LISTEN_PID: forPid, LISTEN_FDS: fds = '', LISTEN_FDNAMES: names = '' } = environment;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete environment[name];
  const count = /^\d{1,4}$/.test(fds) ? Number(fds) : 0;
  if (forPid !== String(pid) || count > FDS_MAX) return new InheritedSockets([]);
  const listed = names.split(':');
  const found = Array.from({ length: count }, (_, at) => nameOf(listed[at]));
  for (const at of found.keys()) keep(FIRST_FD + at);
  return new InheritedSockets(found);
}

/** systemd writes `unknown` where a socket has no name. */
const nameOf = (text: string | undefined): string => (text === undefined || text === 'unknown' ? '' : text);

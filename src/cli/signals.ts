import type { Clock } from '../core/clock.ts';

/** Where signals come from; the process, unless a test plays them. */
export interface SignalSource {
  on(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP', listener: () => void): unknown;
  off(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP', listener: () => void): unknown;
}

/** What signals stop, and what they reload. */
export interface Stoppable {
  /** Requests that are open now. */
  readonly open: number | Promise<number>;
  /** Stops accepting, waits for open requests, cuts the rest; called again it cuts at once. */
  close(how: { readonly drainMs: number }): Promise<{ readonly cut: number }>;
}

export interface SignalOptions {
  /** Signals are heard while it still starts: one that comes then stops it as soon as there is something to stop. */
  readonly proxy: Promise<Stoppable>;
  /** Read when the signal comes: a reload may have changed it. */
  drainMs(): number;
  readonly reload: () => void;
  readonly tell: (line: string) => void;
  readonly source: SignalSource;
  readonly clock: Clock;
  /** Under npm one Ctrl-C arrives twice: the terminal sends it to every process, and npm passes its own on. */
  readonly echoes: 'npm' | 'none';
}

/** Two signals of npm's come closer together than any person presses a key twice. */
const ECHO_MS = 100;
/** How long a stop without a drain may take. */
const LAST_MS = 1000;

/** Resolves when the proxy has stopped, after a drain or at once on a second signal, with the requests that were cut. */
export function untilStopped(options: SignalOptions): Promise<number> {
  const { source, clock, tell } = options;
  return new Promise((resolve, reject) => {
    let firstMs: number | undefined;
    let hasStopped = false;
    const heard = () => {
      if (firstMs !== undefined && options.echoes === 'npm' && clock.now() - firstMs < ECHO_MS) return;
      const drainMs = firstMs === undefined ? options.drainMs() : 0;
      firstMs ??= clock.now();
      // Whoever waits for the start hears why it failed; here nothing is left to stop.
      options.proxy.then((proxy) => stop(proxy, drainMs)).catch(() => finish(() => resolve(0)));
    };
    const stop = async (proxy: Stoppable, drainMs: number) => {
      let open = 0;
      // A person who asks twice is not kept waiting by whatever hangs.
      if (drainMs === 0) clock.after(LAST_MS, () => finish(() => resolve(open)));
      open = await proxy.open;
      if (drainMs > 0 && open > 0) tell(drainText(open, drainMs));
      proxy.close({ drainMs }).then(
        ({ cut }) => finish(() => resolve(cut)),
        (error) => finish(() => reject(error)),
      );
    };
    const finish = (settle: () => void) => {
      if (hasStopped) return;
      hasStopped = true;
      source.off('SIGINT', heard);
      source.off('SIGTERM', heard);
      source.off('SIGHUP', options.reload);
      settle();
    };
    source.on('SIGINT', heard);
    source.on('SIGTERM', heard);
    source.on('SIGHUP', options.reload);
  });
}

const drainText = (open: number, drainMs: number): string =>
  `stopping: ${open} open ${open === 1 ? 'request has' : 'requests have'} up to ${Math.ceil(drainMs / 1000)} s to finish; a second signal cuts at once`;

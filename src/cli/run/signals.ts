import type { DrainReport } from '../../contracts/drain-report.ts';
import { durationText } from '../../observe/units.ts';
import type { Clock } from '../../util/clock.ts';
import type { CommandLogger } from './command-logger.ts';

/** Where signals come from: the process, or a test. */
export interface SignalSource {
  on(signal: Signal, listener: () => void): unknown;
  off(signal: Signal, listener: () => void): unknown;
}

/**
 * SIGUSR2 asks for a new log file, as logrotate does; on Windows it never comes. There SIGBREAK is Ctrl-Break, and SIGHUP comes
 * when the console window closes: Windows ends the process some 10 s later (Node's documentation of `process`).
 */
type Signal = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGBREAK' | 'SIGUSR2';

/** What signals stop, and what they reload. */
export interface Stoppable {
  /** Requests that are open now. */
  readonly open: number | Promise<number>;
  /** Stops accepting, waits for open requests, aborts the rest; called again it aborts them at once. */
  close(how: { readonly drainMs: number }): Promise<DrainReport>;
}

export interface SignalOptions {
  /** A signal that comes during the start stops the proxy as soon as it has started. */
  readonly proxy: Promise<Stoppable>;
  /** Read when the signal comes: a reload may have changed it. */
  drainMs(): number;
  readonly reload: () => void;
  /** Resolves when the API asks for the stop that a first signal makes. */
  readonly asked?: Promise<void>;
  readonly reopenLog: () => void;
  readonly logger: Pick<CommandLogger, 'status'>;
  readonly source: SignalSource;
  readonly clock: Clock;
  /** Under npm one Ctrl-C arrives twice: the terminal sends it to every process, and npm passes its own on. */
  readonly echoes: 'npm' | 'none';
  /** Default: that of this process. */
  readonly platform?: NodeJS.Platform;
}

/** Two signals of npm's come closer together than any person presses a key twice. */
const ECHO_MS = 100;
/** How long a stop without a drain may take. */
const LAST_MS = 1000;

/** Resolves when the proxy has stopped, after a drain or at once on a second signal, with what became of the open requests. */
export function waitForShutdown(options: SignalOptions): Promise<DrainReport> {
  const { source, clock, logger, platform = process.platform } = options;
  const isWindows = platform === 'win32';
  return new Promise((resolve, reject) => {
    let firstMs: number | undefined;
    let hasStopped = false;
    const onSignal = () => {
      if (firstMs !== undefined && options.echoes === 'npm' && clock.now() - firstMs < ECHO_MS) return;
      const drainMs = firstMs === undefined ? options.drainMs() : 0;
      firstMs ??= clock.now();
      // The start failed, and `run` reports why; nothing is left to stop.
      options.proxy
        .then((proxy) => stop(proxy, drainMs))
        .catch(() => finish(() => resolve({ finished: 0, aborted: 0, longestMs: 0 })));
    };
    const stop = async (proxy: Stoppable, drainMs: number) => {
      let open = 0;
      // After a second signal nothing that hangs may delay the end.
      if (drainMs === 0)
        clock.after(LAST_MS, () => finish(() => resolve({ finished: 0, aborted: open, longestMs: 0 })));
      open = await proxy.open;
      if (drainMs > 0 && open > 0) logger.status(drainText(open, drainMs));
      proxy.close({ drainMs }).then(
        (report) => finish(() => resolve(report)),
        (error) => finish(() => reject(error)),
      );
    };
    const finish = (settle: () => void) => {
      if (hasStopped) return;
      hasStopped = true;
      for (const [signal, listener] of listeners) source.off(signal, listener);
      settle();
    };
    const listeners: readonly (readonly [Signal, () => void])[] = [
      ['SIGINT', onSignal],
      ['SIGTERM', onSignal],
      ['SIGHUP', isWindows ? onSignal : options.reload],
      ...(isWindows ? ([['SIGBREAK', onSignal]] as const) : []),
      ['SIGUSR2', options.reopenLog],
    ];
    void options.asked?.then(() => firstMs === undefined && onSignal());
    for (const [signal, listener] of listeners) source.on(signal, listener);
  });
}

const drainText = (open: number, drainMs: number): string =>
  `stopping: ${open} open ${open === 1 ? 'request has' : 'requests have'} up to ${Math.ceil(drainMs / 1000)} s to finish; a second signal aborts them at once`;

/** What became of the requests that were open; `undefined` where none were. */
export function reportText(
  { finished, aborted, longestMs }: DrainReport,
  what: 'stopped' | 'drained' = 'stopped',
): string | undefined {
  if (finished + aborted === 0) return undefined;
  const counted = `${finished} open ${finished === 1 ? 'request' : 'requests'} finished, ${aborted} ${aborted === 1 ? 'was' : 'were'} aborted`;
  return `${what}; ${counted}${longestMs > 0 ? `; the longest lasted ${durationText(longestMs)}` : ''}`;
}

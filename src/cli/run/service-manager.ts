import { execFile } from 'node:child_process';
import { type InheritedSockets, takeInheritedSockets } from '../../clients/inherited-sockets.ts';
import { loadAddon } from '../../native/addon.ts';
import type { Clock } from '../../util/clock.ts';

type Environment = Record<string, string | undefined>;

/** Sends a line of sd_notify(3). */
type Notify = (text: string) => void;

/** The sockets that systemd has opened for this process. Without the addon, programs that we start inherit them too. */
export const inheritedSockets = (environment: Environment, pid: number = process.pid): InheritedSockets =>
  takeInheritedSockets(environment, pid, (fd) => void loadAddon().addon?.closeOnExec(fd));

/** How long `systemd-notify` may take; the proxy does not wait for it. */
const COMMAND_MS = 5_000;

/** A watchdog that is fed more often would cost too many processes. */
const COMMAND_EVERY_MS = 5_000;

/** The service manager that has started this process, where it wants to know how it is. */
export class ServiceManager implements Disposable {
  readonly #notify: Notify | undefined;
  readonly #watchdogMs: number | undefined;
  readonly #clock: Clock;
  #timer: Disposable | undefined;

  private constructor(notify: Notify | undefined, watchdogMs: number | undefined, clock: Clock) {
    this.#notify = notify;
    this.#watchdogMs = watchdogMs;
    this.#clock = clock;
  }

  /** By the variables of the environment, which are removed: no program that we start speaks for us. */
  static find(environment: Environment, clock: Clock, pid: number = process.pid): ServiceManager {
    const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: microseconds = '', WATCHDOG_PID: watched } = environment;
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete environment[name];
    if (socket === undefined || socket === '') return new ServiceManager(undefined, undefined, clock);
    const { addon } = loadAddon();
    const isWatched = /^\d{1,15}$/.test(microseconds) && (watched === undefined || watched === String(pid));
    const watchdogMs = isWatched ? Number(microseconds) / 1000 / 2 : undefined;
    if (addon === undefined) {
      const fedMs = watchdogMs !== undefined && watchdogMs >= COMMAND_EVERY_MS ? watchdogMs : undefined;
      return new ServiceManager(byCommand(socket, environment), fedMs, clock);
    }
    const path = Buffer.from(socket);
    return new ServiceManager((text) => void addon.notify(path, Buffer.from(`${text}\n`)), watchdogMs, clock);
  }

  /** It serves now. From here on the event loop says that it still turns, twice as often as the watchdog wants to hear it. */
  ready(): void {
    this.notify('READY=1');
    if (this.#watchdogMs !== undefined && this.#watchdogMs > 0) this.#feedWatchdog(this.#watchdogMs);
  }

  notify(text: string): void {
    this.#notify?.(text);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }

  #feedWatchdog(everyMs: number): void {
    this.notify('WATCHDOG=1');
    this.#timer = this.#clock.after(everyMs, () => this.#feedWatchdog(everyMs));
  }
}

/** Without the addon a command sends the line: another process, which the unit has to admit (`NotifyAccess=all`). */
const byCommand =
  (socket: string, environment: Environment): Notify =>
  (text) =>
    void execFile(
      'systemd-notify',
      [text],
      { env: { ...environment, NOTIFY_SOCKET: socket }, timeout: COMMAND_MS },
      () => undefined,
    );

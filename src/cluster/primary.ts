import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import type { Modes, NamedRule } from '../admin/controlled-proxy.ts';
import { rulesOf } from '../app/running-proxy.ts';
import { modesIn } from '../app/set-mode.ts';
import { latchSharing } from '../app/shared-latches.ts';
import { randomSuffix } from '../app/shared-services.ts';
import { StartSettings } from '../app/start-settings.ts';
import { listenUrl } from '../clients/listening.ts';
import type { Listen } from '../clients/options.ts';
import type { Config } from '../config/config.ts';
import type { ReloadCause } from '../config/reload/reload.ts';
import type { DrainReport } from '../contracts/drain-report.ts';
import type { NoticeLevel, Observe } from '../contracts/event.ts';
import type { RouteMode } from '../contracts/routing.ts';
import { LocalNonceCounter } from '../identity/nonce-counter.ts';
import type { LimitState, StoreState } from '../limits/limit-state.ts';
import { IpcLimitsServer } from '../limits/shared/ipc-server.ts';
import { openStore } from '../limits/store/open-store.ts';
import type { StoreLimits } from '../limits/store/store-limits.ts';
import { oneAtATime, rotateFile } from '../observe/rotate-file.ts';
import { ModeSwitch } from '../routing/mode-switch.ts';
import { LatchFile } from '../upstream-auth/latch-file.ts';
import type { Clock } from '../util/clock.ts';
import { inSlices } from '../util/slices.ts';
import { BridgeFollower } from './bridge-follower.ts';
import { LiveRequests } from './live-requests.ts';
import { LoginServer } from './login-server.ts';
import type { Membership } from './messages.ts';
import { NoticeDeduplicator } from './notice-deduplicator.ts';
import { type FoundAddresses, Ports } from './ports.ts';
import { WorkerHandle } from './worker-handle.ts';
import { WorkerPool } from './worker-pool.ts';
import { listenAt, send, settingsAt } from './worker-settings.ts';

/** The program that each worker runs. */
export interface Program {
  readonly path: string;
  readonly args: readonly string[];
}

export interface PrimaryOptions {
  readonly program: Program;
  readonly workers: number;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly observe: Observe;
  readonly startedMs: number;
  readonly prompted: Membership['prompted'];
  readonly ownAddresses: Membership['ownAddresses'];
  /** Key of the ids of credentials: all workers make the same ids. */
  readonly idKey: Buffer;
}

/** Starts, reloads and stops the workers, and owns what they share. */
export class Primary implements AsyncDisposable {
  readonly #options: PrimaryOptions;
  readonly #store: StoreLimits | undefined;
  readonly #limits: IpcLimitsServer;
  readonly #ports: Ports;
  readonly #logins: LoginServer;
  readonly #nonces = new LocalNonceCounter();
  readonly #mode: ModeSwitch;
  readonly #notices: NoticeDeduplicator;
  /** The requests in progress in all workers. */
  readonly live: LiveRequests;
  readonly #startSettings: StartSettings;
  readonly #suffix = randomSuffix();
  readonly #idPrefix = randomBytes(3).toString('hex');
  #config: Config;
  #listen: readonly Listen[] = [];
  readonly #idKey: string;
  readonly #pool: WorkerPool;
  /** Workers started so far: the number is part of the ids of their requests. */
  #started = 0;
  /** Tells the workers apart whose notices are the same. */
  #forked = 0;
  readonly #rotateLog = oneAtATime(rotateFile);
  readonly #bridges: BridgeFollower;
  /** Reloads and replacements run one after another: no worker is started in the middle of a reload. */
  #lastTask: Promise<unknown> = Promise.resolve();

  private constructor(config: Config, options: PrimaryOptions) {
    const { clock, observe, stateDir } = options;
    this.#options = options;
    this.#config = config;
    this.#store = openStore(config.limits, { clock, observe, environment: process.env });
    this.#limits = new IpcLimitsServer(config.limits, { clock, observe, stateDir }, this.#store);
    this.#ports = new Ports(observe);
    const sharing = latchSharing(config.limits, this.#store, process.env);
    const ownLatches = new LatchFile(stateDir);
    this.#logins = new LoginServer(clock, sharing?.latches(ownLatches) ?? ownLatches);
    // The workers report that it is over.
    this.#mode = new ModeSwitch({ clock, observe: () => undefined });
    this.live = new LiveRequests(clock);
    this.#idKey = (sharing?.idKey ?? options.idKey).toString('base64');
    this.#notices = new NoticeDeduplicator(clock, observe);
    this.#startSettings = new StartSettings(config);
    this.#pool = new WorkerPool({
      clock,
      fork: () => this.#fork(),
      begin: (worker, at) => this.#send(worker, at),
      notice: (level, message) => this.#notices.report(level, message),
      serialize: (task) => this.#serialize(task),
    });
    this.#bridges = new BridgeFollower({
      clock,
      ports: this.#ports,
      notice: (level, message) => this.#notices.report(level, message),
      serialize: (task) => this.#serialize(task),
      rebind: (found) => this.#rebind(found),
    });
  }

  /** Resolves when all workers serve. Rejects with a ListenError, or when one of them cannot start; then none is left. */
  static async start(config: Config, options: PrimaryOptions): Promise<Primary> {
    const primary = new Primary(config, options);
    try {
      await primary.#begin();
      return primary;
    } catch (error) {
      await primary[Symbol.asyncDispose]();
      throw error;
    }
  }

  get urls(): readonly string[] {
    return this.#listen.map((listen) => listenUrl(listen));
  }

  /** Every limit, with what is counted under it in all workers. */
  limits(): Promise<LimitState[]> {
    return this.#limits.describe();
  }

  get limitStore(): StoreState | undefined {
    return this.#store?.state;
  }

  /** Of a bandwidth limit, until the next reload. `false`: no limit of this name has a rate. */
  async setRate(limit: string, rate: number): Promise<boolean> {
    // The owner first: a worker that hears of the new rate leases by it at once.
    return this.#limits.setRate(limit, rate) && this.live.setRate(limit, rate);
  }

  get rules(): readonly NamedRule[] {
    return rulesOf(this.#config);
  }

  get modes(): Modes {
    return modesIn(this.#mode, this.#config, 'routes');
  }

  async setMode(mode: RouteMode, untilMs: number | undefined): Promise<void> {
    // A worker that starts meanwhile gets it, too.
    await this.live.setMode(this.#mode.set(mode, untilMs));
    this.#logins.lift();
  }

  /** Requests and tunnels in progress in all workers. */
  get open(): Promise<number> {
    return this.#sum((worker) => worker.request({ type: 'count' }));
  }

  /** All workers take the configuration, or none does and it rejects. A worker that dies meanwhile is replaced with it. */
  reload(wanted: Config, cause: ReloadCause): Promise<void> {
    return this.#serialize(async () => {
      // Here and not in each worker: one that is started later must not take what the others keep.
      const reloadable = this.#startSettings.reloadable(wanted);
      const { config: next } = reloadable;
      const limits = await inSlices(this.#limits.prepare(next.limits), this.#options.clock);
      const { listen, keep } = await this.#ports.find(next.listen);
      const workers = await this.#pool.prepareAll(async (worker, at) => {
        await send(next, worker);
        await worker.request({ type: 'prepare', ...settingsAt({ listen, idKey: this.#idKey }, at) });
      });
      keep();
      this.#config = next;
      this.#listen = listen;
      // Before the workers do: their messages name limits that this process must know.
      limits.commit();
      await Promise.allSettled(workers.map((worker) => worker.request({ type: 'commit' })));
      this.#mode.reloaded();
      reloadable.commit();
      for (const message of reloadable.notices) this.#notices.report('warn', message);
      this.#bridges.follow(this.#config.listen);
      if (cause === 'requested') this.#logins.lift();
    });
  }

  async #rebind({ listen, keep }: FoundAddresses): Promise<void> {
    const workers = await this.#pool.prepareAll(async (worker, at) => {
      await worker.request({ type: 'prepare-listeners', listen: listenAt(listen, at) });
    });
    keep();
    this.#listen = listen;
    await Promise.allSettled(workers.map((worker) => worker.request({ type: 'commit' })));
  }

  /** After the log file was moved away: every worker goes on in a new one of the same name. */
  reopenLog(): void {
    for (const worker of this.#pool.workers) worker.request({ type: 'reopen-log' }).catch(() => undefined);
  }

  /** A further call can only shorten the wait. */
  async close({ drainMs }: { readonly drainMs: number }): Promise<DrainReport> {
    this.#pool.stop();
    const reports = await Promise.allSettled(this.#pool.workers.map((worker) => worker.close(drainMs)));
    await this[Symbol.asyncDispose]();
    return sumOf(reports.flatMap((report) => (report.status === 'fulfilled' ? [report.value] : [])));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#bridges[Symbol.dispose]();
    await this.#pool[Symbol.asyncDispose]();
    this.#mode[Symbol.dispose]();
    await this.#limits[Symbol.asyncDispose]();
  }

  async #begin(): Promise<void> {
    await this.#pool.load(this.#options.workers);
    // As late as possible: until the workers listen, another process could take the addresses.
    const { listen, keep } = await this.#ports.find(this.#config.listen);
    this.#listen = listen;
    keep();
    await this.#pool.begin();
    this.#bridges.follow(this.#config.listen);
  }

  #fork(): WorkerHandle {
    const { program, clock } = this.#options;
    const child = fork(program.path, [...program.args], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    // A process that cannot be started, and one that was sent a message after its end: both are noticed by `exit`.
    child.on('error', () => undefined);
    const source = ++this.#forked;
    const notice = (level: NoticeLevel, message: string, id: string | undefined) =>
      this.#notices.report(level, message, source, id);
    const rotateLog = this.#rotateLog;
    return new WorkerHandle({
      child,
      limits: this.#limits,
      logins: this.#logins,
      nonces: this.#nonces,
      live: this.live,
      clock,
      rotateLog,
      notice,
    });
  }

  async #send(worker: WorkerHandle, at: number): Promise<void> {
    await send(this.#config, worker);
    const settings = settingsAt({ listen: this.#listen, idKey: this.#idKey }, at);
    const idPrefix = `${this.#idPrefix}${(++this.#started).toString(36)}`;
    const { prompted, startedMs, ownAddresses } = this.#options;
    const { state: mode } = this.#mode;
    const member = { suffix: this.#suffix, idPrefix, prompted, startedMs, ownAddresses, mode };
    await worker.request({ type: 'start', ...settings, ...member });
  }

  async #sum(count: (worker: WorkerHandle) => Promise<number>): Promise<number> {
    const counts = await Promise.allSettled(this.#pool.workers.map(count));
    return counts.reduce((sum, result) => sum + (result.status === 'fulfilled' ? result.value : 0), 0);
  }

  #serialize<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#lastTask.then(task);
    this.#lastTask = result.catch(() => undefined);
    return result;
  }
}

const sumOf = (reports: readonly DrainReport[]): DrainReport => ({
  finished: reports.reduce((sum, { finished }) => sum + finished, 0),
  aborted: reports.reduce((sum, { aborted }) => sum + aborted, 0),
  longestMs: Math.max(0, ...reports.map(({ longestMs }) => longestMs)),
});

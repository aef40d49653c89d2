import type { Modes, NamedRule, ShownAccount, Ways, WhyAnswer, WhyQuestion } from '../admin/controlled-proxy.ts';
import type { ListenerSet } from '../clients/listener-set.ts';
import type { Listen, SocketListen } from '../clients/options.ts';
import type { Config } from '../config/config.ts';
import type { ReloadCause } from '../config/reload/reload.ts';
import type { DrainReport } from '../contracts/drain-report.ts';
import type { RouteMode } from '../contracts/routing.ts';
import type { LimitState, StoreState } from '../limits/limit-state.ts';
import type { Limits } from '../limits/limits.ts';
import type { StoreLimits } from '../limits/store/store-limits.ts';
import type { ProcessMeasures } from '../observe/process-measures.ts';
import { namesOfRules } from '../policy/rules.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { accountsOf } from './accounts.ts';
import type { ActiveLog } from './active-log.ts';
import { answerWhy } from './answer-why.ts';
import type { ClientContext } from './client-context.ts';
import type { InForce } from './in-force.ts';
import type { ProcessMeter } from './process-meter.ts';
import type { PreparedReload, Reloads } from './reload.ts';
import { modesIn } from './set-mode.ts';
import type { SharedServices } from './shared-services.ts';
import type { Shutdown } from './shutdown.ts';
import { waysOf } from './ways.ts';

export interface RunningProxy extends AsyncDisposable {
  /** The first listener, e.g. `http://127.0.0.1:3128`. */
  readonly url: string;
  readonly urls: readonly string[];
  /** The first listener; its port is the real one. */
  readonly listening: SocketListen | undefined;
  /** Requests and tunnels in progress, each until the client has taken the last byte of its response. */
  readonly open: number;
  /** The requests and tunnels in progress in this process, and the records of those that ended last. */
  readonly sessions: Pick<Sessions, 'snapshot' | 'find' | 'ended' | 'end' | 'endAll' | 'endedAfter' | 'endedCount'>;
  /** Every limit, with what is counted under it. */
  limits(): Promise<readonly LimitState[]>;
  /** The store that this process shares its limits through by a connection of its own. */
  readonly limitStore: StoreState | undefined;
  /** Sets the rate (bytes per second) of a bandwidth limit until the next reload. `false`: no limit of this name has a rate. */
  setRate(limit: string, rate: number): boolean;
  /** Upstream proxies and PAC. */
  ways(): Ways;
  /** What this process uses, and what is open in it without an owner. */
  measure(): Promise<ProcessMeasures>;
  /** Our accounts at upstream proxies. */
  accounts(): Promise<readonly ShownAccount[]>;
  /** The first rules of each kind, in order. */
  readonly rules: readonly NamedRule[];
  modes(): Modes;
  /** As ControlledProxy.setMode. */
  setMode(mode: RouteMode, untilMs: number | undefined): void;
  /** What would be decided about a URL. */
  why(question: WhyQuestion): Promise<WhyAnswer>;
  /**
   * Takes another configuration, or rejects and changes nothing. Open requests go on with the configuration in which they
   * began. `requested`, the default: a person or a program asks for it, and secrets that upstream proxies have rejected
   * may be tried again.
   */
  reload(config: Config, cause?: ReloadCause): Promise<void>;
  /** After the log file was moved away: goes on in a new one of the same name. */
  reopenLog(): void;
  /** Does everything of a reload that may fail or wait. Rejects and changes nothing. */
  prepare(config: Config): Promise<PreparedReload>;
  /** The same for other addresses alone: those of bridges come and go. */
  prepareListeners(listen: readonly Listen[]): Promise<PreparedReload>;
  /**
   * Accepts no more, closes idle connections, waits up to `drainMs` for open requests and aborts the rest. A further call can
   * only shorten the wait.
   */
  close(how: { readonly drainMs: number }): Promise<DrainReport>;
}

/** Rules that are listed: of more no one reads the list. */
const RULES_SHOWN_MAX = 1_024;

export const rulesOf = ({ access, routes }: Config): readonly NamedRule[] => [
  ...namesOfRules(access, RULES_SHOWN_MAX).map(({ name, verdict, effect }): NamedRule => {
    return { name, verdict, kind: effect === 'decide' ? 'access' : 'report' };
  }),
  ...routes.rules.slice(0, RULES_SHOWN_MAX).map(({ name }): NamedRule => ({ name, kind: 'route' })),
];

interface StartedProxyDeps {
  readonly listeners: ListenerSet;
  readonly sessions: Sessions;
  readonly limits: Limits;
  readonly store: StoreLimits | undefined;
  readonly shared: SharedServices;
  readonly inForce: InForce;
  readonly reloads: Reloads;
  readonly clients: ClientContext;
  readonly shutdown: Shutdown;
  readonly log: ActiveLog;
  readonly meter: ProcessMeter;
  readonly routesBy: 'routes' | 'hook';
}

/** A proxy that serves, as what has started it handed its parts over. */
export class StartedProxy implements RunningProxy {
  readonly #deps: StartedProxyDeps;

  constructor(parts: StartedProxyDeps) {
    this.#deps = parts;
  }

  get url(): string {
    return this.urls[0] ?? '';
  }

  get urls(): readonly string[] {
    return this.#deps.listeners.urls;
  }

  get listening(): SocketListen | undefined {
    return this.#deps.listeners.first;
  }

  get sessions(): RunningProxy['sessions'] {
    return this.#deps.sessions;
  }

  get limitStore(): StoreState | undefined {
    return this.#deps.store?.state;
  }

  limits(): Promise<readonly LimitState[]> {
    return this.#deps.limits.describe();
  }

  readonly setRate = (limit: string, rate: number): boolean => this.#deps.limits.setRate(limit, rate);

  readonly ways = (): Ways => waysOf(this.#deps.shared);

  readonly measure = (): Promise<ProcessMeasures> => this.#deps.meter.measure();
  readonly accounts = (): Promise<readonly ShownAccount[]> => {
    const { shared, inForce } = this.#deps;
    return accountsOf(inForce.config, shared.health.known(), inForce.services.accounts);
  };

  get rules(): readonly NamedRule[] {
    return rulesOf(this.#deps.inForce.config);
  }

  readonly modes = (): Modes => {
    const { shared, inForce, routesBy } = this.#deps;
    return modesIn(shared.mode, inForce.config, routesBy);
  };

  readonly setMode = (mode: RouteMode, untilMs: number | undefined): void => {
    const { shared } = this.#deps;
    shared.mode.set(mode, untilMs);
    this.#deps.clients.repeats?.forget();
    shared.upstreamAuth.authCache.retryLogins();
  };

  readonly why = (question: WhyQuestion): Promise<WhyAnswer> =>
    answerWhy(question, question.listener ?? this.url, this.#deps.inForce.services);

  get open(): number {
    // A tunnel that the addon has opened becomes active when it is reported, up to 30 ms after its client has the 200. One that
    // ends before counts until its report.
    return this.#deps.listeners.active + (this.#deps.clients.repeats?.unreported ?? 0);
  }

  reload(config: Config, cause: ReloadCause = 'requested'): Promise<void> {
    return this.#deps.reloads.reload(config, cause);
  }

  reopenLog(): void {
    this.#deps.log.reopen();
  }

  prepare(config: Config): Promise<PreparedReload> {
    return this.#deps.reloads.prepare(config);
  }

  prepareListeners(listen: readonly Listen[]): Promise<PreparedReload> {
    return this.#deps.reloads.prepareListeners(listen);
  }

  close({ drainMs }: { readonly drainMs: number }): Promise<DrainReport> {
    this.#deps.reloads.stop();
    this.#deps.clients.drain();
    return this.#deps.shutdown.within(drainMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close({ drainMs: 0 });
  }
}

import type { ListenerSet } from '../clients/listener-set.ts';
import type { Listen } from '../clients/options.ts';
import type { Config } from '../config/config.ts';
import type { ReloadCause } from '../config/reload/reload.ts';
import type { Limits } from '../limits/limits.ts';
import { DisposerStack } from '../util/disposer-stack.ts';
import { inSlices } from '../util/slices.ts';
import type { ActiveLog } from './active-log.ts';
import type { ClientContext } from './client-context.ts';
import { noticeOfFailure } from './disposal-notice.ts';
import { createGeneration, type Overrides } from './generation.ts';
import type { InForce } from './in-force.ts';
import type { SharedServices } from './shared-services.ts';
import { StartSettings } from './start-settings.ts';

/** A configuration that is ready to be put in force: one of the two is called, once. */
export interface PreparedReload {
  commit(): Promise<void>;
  abandon(): Promise<void>;
}

export interface ReloadDeps {
  readonly overrides: Overrides;
  readonly shared: SharedServices;
  readonly limits: Limits;
  readonly log: ActiveLog;
  readonly listeners: ListenerSet;
  readonly inForce: InForce;
  readonly clients: Pick<ClientContext, 'repeats'>;
}

/** Puts other configurations in force, each whole or not at all. */
export class Reloads {
  readonly #deps: ReloadDeps;
  readonly #startSettings: StartSettings;
  #isStopped = false;

  constructor(deps: ReloadDeps) {
    this.#deps = deps;
    this.#startSettings = new StartSettings(deps.inForce.config);
  }

  /** From now on nothing is put in force: a reload that is under way must not open listeners of a proxy that has closed. */
  stop(): void {
    this.#isStopped = true;
  }

  async reload(config: Config, cause: ReloadCause): Promise<void> {
    const { commit } = await this.prepare(config);
    await commit();
    if (cause === 'requested') this.#deps.shared.upstreamAuth.authCache.retryLogins();
  }

  /** As `prepare`, where the addresses alone are others. */
  async prepareListeners(listen: readonly Listen[]): Promise<PreparedReload> {
    const opened = await this.#deps.listeners.prepare(listen);
    return {
      commit: async () => (this.#isStopped ? opened.abandon() : opened.serve()),
      abandon: async () => opened.abandon(),
    };
  }

  /** Does all that may fail or wait. Rejects and leaves nothing behind. */
  async prepare(wanted: Config): Promise<PreparedReload> {
    const { overrides, shared, limits, log, listeners } = this.#deps;
    const { clock, observe } = shared;
    await using parts = new DisposerStack(noticeOfFailure(observe));
    const reloadable = this.#startSettings.reloadable(wanted);
    const { config } = reloadable;
    const generation = parts.use('configuration', await createGeneration(config, overrides, shared));
    const nextLimits = await inSlices(limits.prepare(config.limits), clock);
    const nextLog = log.prepare(config.log);
    parts.defer('access log', nextLog.abandon);
    const opened = await listeners.prepare(config.listen);
    parts.defer('listeners', opened.abandon);
    const prepared = parts.move();
    const abandon = () => prepared[Symbol.asyncDispose]();
    return {
      commit: async () => {
        if (this.#isStopped) {
          await abandon();
          throw new Error('the proxy is stopping');
        }
        // Synchronously, so that no request sees a mix of the old and the new configuration.
        this.#deps.inForce.replace(config, generation);
        this.#deps.clients.repeats?.forget();
        nextLimits.commit();
        shared.mode.reloaded();
        // Idle connections lead to addresses that the guard of before has judged.
        shared.pool.clear();
        shared.sessions.clear();
        opened.serve();
        reloadable.commit();
        for (const message of reloadable.notices) observe({ type: 'notice', level: 'warn', message });
        await Promise.all([shared.pacService.configure(config.routes, config.upstreams), nextLog.commit()]);
      },
      abandon,
    };
  }
}

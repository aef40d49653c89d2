import type { Config } from '../config/config.ts';
import type { SecureHop } from '../contracts/dialing.ts';
import { ProxyError } from '../contracts/failure.ts';
import type { Services } from '../pipeline/services.ts';
import type { Probe } from '../upstream/health/probe.ts';
import type { Clock } from '../util/clock.ts';
import type { Generation } from './generation.ts';

/** How long closing waits for requests whose connections are gone; one that goes on for longer is stuck in a hook. */
const LAST_REQUESTS_MS = 1_000;

/**
 * What holds now, and what a reload replaces. Connections read it whenever a request begins, so that a reload reaches
 * those that were open before.
 */
export class InForce implements AsyncDisposable {
  readonly #clock: Clock;
  #config: Config;
  #generation: Generation | undefined;
  /** The generation in force, and the earlier ones that requests still use. */
  readonly #live = new Map<Generation, Promise<void> | undefined>();

  constructor(config: Config, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
  }

  get config(): Config {
    return this.#config;
  }

  get services(): Services {
    return this.#current().services;
  }

  readonly probe: Probe = (hops, signal) => this.#current().probe(hops, signal);

  readonly secure: SecureHop = (connection, hop, within, use) => this.#current().secure(connection, hop, within, use);

  /** Requests that begin from now on use `generation`; the one before ends with its last request. */
  replace(config: Config, generation: Generation): void {
    const previous = this.#generation;
    this.#config = config;
    this.#generation = generation;
    this.#live.set(generation, undefined);
    if (previous !== undefined) this.#retire(previous);
  }

  /** To be called when no request can begin any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    const generations = [...this.#live.keys()];
    const ended = Promise.all(generations.map((generation) => this.#live.get(generation) ?? this.#retire(generation)));
    let limit: Disposable | undefined;
    const late = new Promise<void>((resolve) => {
      limit = this.#clock.after(LAST_REQUESTS_MS, resolve);
    });
    await Promise.race([ended, late]);
    limit?.[Symbol.dispose]();
    await Promise.all(generations.map((generation) => generation[Symbol.asyncDispose]()));
  }

  #retire(generation: Generation): Promise<void> {
    const ended = generation.retire().then(() => void this.#live.delete(generation));
    this.#live.set(generation, ended);
    return ended;
  }

  #current(): Generation {
    if (this.#generation === undefined) throw new ProxyError('internal', 'the proxy is still starting');
    return this.#generation;
  }
}

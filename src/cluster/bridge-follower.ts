import { BridgeProblem, BridgeWatch } from '../clients/bridge-watch.ts';
import { missingBridges } from '../clients/bridges.ts';
import { listenUrl } from '../clients/listening.ts';
import type { Listen } from '../clients/options.ts';
import type { NoticeLevel } from '../contracts/event.ts';
import type { Clock } from '../util/clock.ts';
import type { FoundAddresses, Ports } from './ports.ts';

export interface BridgeFollowerDeps {
  readonly clock: Clock;
  readonly ports: Ports;
  notice(level: NoticeLevel, message: string): void;
  /** Runs it while no reload runs and no worker is replaced. */
  serialize(task: () => Promise<void>): Promise<void>;
  /** All workers listen on these addresses and no others, or none does and it rejects. */
  rebind(found: FoundAddresses): Promise<void>;
}

/** Has the workers listen on bridges that come, and no more on those that go. */
export class BridgeFollower implements Disposable {
  readonly #deps: BridgeFollowerDeps;
  readonly #watch: BridgeWatch;
  readonly #problem: BridgeProblem;
  #wanted: readonly Listen[] = [];

  constructor(deps: BridgeFollowerDeps) {
    this.#deps = deps;
    this.#watch = new BridgeWatch(deps.clock, () => void deps.serialize(() => this.#look()));
    this.#problem = new BridgeProblem(deps.notice);
  }

  /** Those of this configuration from now on. What is not there is said once. */
  follow(wanted: readonly Listen[]): void {
    this.#wanted = wanted;
    for (const message of missingBridges(wanted)) this.#deps.notice('info', message);
    this.#watch.watch(wanted);
  }

  [Symbol.dispose](): void {
    this.#wanted = [];
    this.#watch.watch([]);
  }

  async #look(): Promise<void> {
    const { ports, notice, rebind } = this.#deps;
    if (this.#wanted.length === 0 || ports.isCurrent(this.#wanted)) return;
    try {
      const found = await ports.find(this.#wanted);
      await rebind(found);
      this.#problem.clear();
      notice('info', `listening on ${found.listen.map(listenUrl).join(', ')}, as the bridges are now`);
    } catch (error) {
      this.#problem.report(error);
    }
  }
}

import { BridgeProblems, BridgeWatch, followedMessage } from '../clients/bridge-watch.ts';
import { missingBridges } from '../clients/bridges.ts';
import { listenUrl } from '../clients/listening.ts';
import type { Listen } from '../clients/options.ts';
import type { NoticeLevel } from '../contracts/event.ts';
import type { Clock } from '../util/clock.ts';
import type { FoundAddresses, Ports } from './ports.ts';

export interface BridgeFollowerDeps {
  readonly clock: Clock;
  readonly ports: Pick<Ports, 'follow'>;
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
  readonly #problems: BridgeProblems;
  #wanted: readonly Listen[] = [];
  #isLooking = false;

  constructor(deps: BridgeFollowerDeps) {
    this.#deps = deps;
    this.#watch = new BridgeWatch(deps.clock, () => this.#lookInTurn());
    this.#problems = new BridgeProblems(deps.notice);
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

  /** While a reload takes its time there is one look that waits for it, and no queue of them. */
  #lookInTurn(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    void this.#deps
      .serialize(() => this.#look())
      .catch((error: unknown) => this.#problems.report([error]))
      .finally(() => {
        this.#isLooking = false;
      });
  }

  async #look(): Promise<void> {
    const { ports, notice, rebind } = this.#deps;
    if (this.#wanted.length === 0) return;
    const { found, failures } = await ports.follow(this.#wanted);
    if (found !== undefined) {
      await rebind(found);
      notice('info', followedMessage(found.listen.map(listenUrl)));
    }
    this.#problems.report(failures);
  }
}

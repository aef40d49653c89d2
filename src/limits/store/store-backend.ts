import type { StopSignal } from '../../util/stop.ts';
import type { AdmissionDeps } from '../counting/admission.ts';
import type { BandwidthState, LimitState } from '../limit-state.ts';
import { type LimitsOptions, NO_LIMITS } from '../options.ts';
import type { BudgetKey, BudgetLease, GrantListener, LimitsBackend } from '../shared/backend.ts';
import { IpcLimitsClient } from '../shared/ipc-client.ts';
import { IpcLimitsServer, type SharedCounts } from '../shared/ipc-server.ts';
import type { WorkerSession } from '../shared/worker-session.ts';
import type { Subject } from '../subject.ts';

/**
 * The limits of a single process that other instances share: it is to itself what the primary is to its workers, so that
 * both share their limits with other machines in the same way.
 */
export class StoreBackend implements LimitsBackend {
  readonly #server: IpcLimitsServer;
  readonly #client: IpcLimitsClient;
  readonly #session: WorkerSession;

  constructor(counts: SharedCounts, deps: AdmissionDeps) {
    this.#server = new IpcLimitsServer(NO_LIMITS, deps, counts);
    this.#client = new IpcLimitsClient((messages) => this.#session.receive(messages));
    this.#session = this.#server.openSession((messages) => this.#client.receive(messages));
  }

  admit(subject: Subject, signal: StopSignal): Disposable | Promise<Disposable> {
    return this.#client.admit(subject, signal);
  }

  openBudget(of: BudgetKey, listener: GrantListener): BudgetLease {
    return this.#client.openBudget(of, listener);
  }

  update(options: LimitsOptions): void {
    // The owner first: the messages of the client name limits that it must know.
    this.#server.update(options);
    this.#client.update(options);
  }

  setRate(name: string, rate: number): void {
    this.#server.setRate(name, rate);
  }

  describe(): Promise<readonly LimitState[]> {
    return this.#client.describe();
  }

  reportWith(report: () => readonly BandwidthState[]): void {
    this.#client.reportWith(report);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
    this.#session[Symbol.dispose]();
    await this.#server[Symbol.asyncDispose]();
  }
}

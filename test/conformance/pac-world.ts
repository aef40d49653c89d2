import { createPacEngine, type PacEngine } from '../../src/pac/engine/engine.ts';
import type { PacEvaluation } from '../../src/pac/engine/evaluation.ts';
import { systemClock } from '../../src/util/clock.ts';
import type { PacCase } from './pac-cases.ts';

/** A loaded machine starts a thread in a second; no case is about time that passes. */
const DEADLINE_MS = 30_000;

/** Engines by time zone, in a world that each case pins for itself. */
export class PacStage implements AsyncDisposable {
  readonly #engines = new Map<string, PacEngine>();
  #current: PacCase | undefined;
  /** Names that were asked for since the case began. */
  queries: string[] = [];

  begin(one: PacCase): void {
    this.#current = one;
    this.queries = [];
    this.#engine().networkChanged();
  }

  evaluate(text: string, url: string, host: string): Promise<PacEvaluation> {
    const { signal } = new AbortController();
    const script = { text, source: 'a case', namedBy: 'pac', readMs: 0 } as const;
    return this.#engine().evaluate(script, { url, host, signal, trace: 'calls' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#engines.values()].map((engine) => engine[Symbol.asyncDispose]()));
  }

  #engine(): PacEngine {
    const zone = this.#current?.tz ?? 'UTC';
    let engine = this.#engines.get(zone);
    if (engine === undefined) {
      const now = (): number => Date.parse(this.#current?.now ?? '2024-01-01T00:00:00Z');
      engine = createPacEngine({
        clock: { ...systemClock, wallMs: now },
        zone,
        deadlineMs: DEADLINE_MS,
        resolve: (name) => this.#resolve(name),
        localAddresses: () => Promise.resolve(this.#ownAddresses()),
      });
      this.#engines.set(zone, engine);
    }
    return engine;
  }

  #resolve(name: string): Promise<readonly string[]> {
    this.queries.push(name);
    const found = this.#current?.dnsAll ?? this.#current?.dns?.[name] ?? [];
    return found.length > 0 ? Promise.resolve(found) : Promise.reject(new Error(`${name} does not exist`));
  }

  #ownAddresses(): { first: string | undefined; all: readonly string[] } {
    const { myIp, myIpEx } = this.#current ?? {};
    return { first: myIp ?? undefined, all: myIpEx ?? (typeof myIp === 'string' ? [myIp] : []) };
  }
}

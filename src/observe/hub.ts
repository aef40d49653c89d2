import type { Exporter, Observe } from '../core/contracts.ts';
import type { ProxyEvent } from '../core/event.ts';

/** Hands every event to every exporter. */
export interface Hub extends AsyncDisposable {
  readonly observe: Observe;
  /** How many listen; with 0 a caller need not even build the event. */
  readonly size: number;
  /** Adds one more listener; disposing takes it out again, and flushes it. */
  add(exporter: Exporter): AsyncDisposable;
}

/**
 * The fan-out between the rooms and those who tell the world.
 * An exporter that throws is our bug or the user's, never the traffic's: it is reported once and goes on being called.
 */
export function hub(first: readonly Exporter[] = []): Hub {
  const exporters = new Set<Exporter>(first);
  const blamed = new WeakSet<Exporter>();

  const blame = (exporter: Exporter, error: unknown) => {
    if (blamed.has(exporter)) return;
    blamed.add(exporter);
    const why = error instanceof Error ? error.message : String(error);
    observe({ type: 'notice', level: 'error', message: `the exporter "${exporter.name}" failed: ${why}` });
  };

  const observe = (event: ProxyEvent) => {
    for (const exporter of exporters) {
      try {
        exporter.observe(event);
      } catch (error) {
        blame(exporter, error);
      }
    }
  };

  const remove = async (exporter: Exporter) => {
    if (!exporters.delete(exporter)) return;
    try {
      await exporter[Symbol.asyncDispose]();
    } catch (error) {
      blame(exporter, error);
    }
  };

  return {
    observe,
    get size() {
      return exporters.size;
    },
    add(exporter) {
      exporters.add(exporter);
      return { [Symbol.asyncDispose]: () => remove(exporter) };
    },
    /** Last in, first out: what was set up first (the notices) hears what goes wrong while the others close. */
    async [Symbol.asyncDispose]() {
      for (const exporter of [...exporters].reverse()) await remove(exporter);
    },
  };
}

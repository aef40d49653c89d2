import type { Exporter, Observe, ProxyEvent } from '../contracts/event.ts';

/** Hands every event to the exporters of its type. */
export interface Hub extends AsyncDisposable {
  readonly observe: Observe;
  /** The number of exporters; with 0 a caller need not build the event. */
  readonly size: number;
  /** Adds one more listener; disposing takes it out again, and flushes it. An event that is being handed out still comes. */
  add(exporter: Exporter): AsyncDisposable;
}

/**
 * Distributes the events of the modules to exporters: logs, the listeners of a program, a trace.
 * An exporter that throws is our bug or the user's, never the traffic's: it is reported once and goes on being called.
 */
export function hub(first: readonly Exporter[] = []): Hub {
  const exporters = new Set<Exporter>(first);
  /** By type of event: a request has ten events, and most exporters are for one of them. */
  const byType = new Map<ProxyEvent['type'], readonly Exporter[]>();
  const reported = new WeakSet<Exporter>();

  const reportFailure = (exporter: Exporter, error: unknown) => {
    if (reported.has(exporter)) return;
    reported.add(exporter);
    const why = error instanceof Error ? error.message : String(error);
    observe({ type: 'notice', level: 'error', message: `the exporter "${exporter.name}" failed: ${why}` });
  };

  const receiversOf = (type: ProxyEvent['type']): readonly Exporter[] => {
    const receivers = [...exporters].filter(({ only }) => only === undefined || only.includes(type));
    byType.set(type, receivers);
    return receivers;
  };

  const handOut = (event: ProxyEvent, exporter: Exporter) => {
    try {
      exporter.observe(event);
    } catch (error) {
      reportFailure(exporter, error);
    }
  };

  const observe = (event: ProxyEvent) => {
    const receivers = byType.get(event.type) ?? receiversOf(event.type);
    for (let at = 0; at < receivers.length; at++) {
      const exporter = receivers[at];
      if (exporter !== undefined) handOut(event, exporter);
    }
  };

  const remove = async (exporter: Exporter) => {
    if (!exporters.delete(exporter)) return;
    byType.clear();
    try {
      await exporter[Symbol.asyncDispose]();
    } catch (error) {
      reportFailure(exporter, error);
    }
  };

  return {
    observe,
    get size() {
      return exporters.size;
    },
    add(exporter) {
      exporters.add(exporter);
      byType.clear();
      return { [Symbol.asyncDispose]: () => remove(exporter) };
    },
    /** Last in, first out: the first exporter (notices) still reports what fails while the others close. */
    async [Symbol.asyncDispose]() {
      for (const exporter of [...exporters].reverse()) await remove(exporter);
    },
  };
}

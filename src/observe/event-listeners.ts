import type { EventEmitter } from 'node:events';
import { inspect } from 'node:util';
import type { Exporter, ProxyEvent } from '../contracts/event.ts';

/**
 * Hands events to the listeners of a program. One that throws is the program's fault and not the traffic's: the others
 * receive the event all the same, and the program gets a `notice`, or where it listens to none, a warning of its
 * process.
 */
export function eventListeners(events: EventEmitter): Exporter {
  const emit = (event: ProxyEvent): void => {
    if (events.listenerCount(event.type) === 0) return;
    // With the wrappers of `once`, which take themselves out.
    for (const listener of events.rawListeners(event.type)) {
      try {
        const answer: unknown = Reflect.apply(listener, undefined, [event]);
        if (answer instanceof Promise) answer.catch((error: unknown) => report(event, error));
      } catch (error) {
        report(event, error);
      }
    }
  };
  const report = ({ type }: ProxyEvent, error: unknown): void => {
    const message = `a listener for "${type}" threw: ${inspect(error)}`;
    // Not by itself, or it would never end.
    if (type !== 'notice' && events.listenerCount('notice') > 0) emit({ type: 'notice', level: 'error', message });
    else process.emitWarning(message, 'ViaductWarning');
  };
  return { name: 'events', observe: emit, [Symbol.asyncDispose]: () => Promise.resolve() };
}

import { type Channel, channel } from 'node:diagnostics_channel';
import type { Exporter, ProxyEvent } from '../contracts/event.ts';
import type { TimedStep } from '../contracts/record.ts';

/** `head` is left out: it may hold passwords, and only a tap gets it. */
type PublishedType = Exclude<ProxyEvent['type'], 'head'>;

/** The names are a promise, docs/TRACING.md lists them. */
const CHANNELS: Readonly<Record<PublishedType, Channel>> = {
  request: channel('viaduct:request'),
  decided: channel('viaduct:decided'),
  routed: channel('viaduct:routed'),
  'route-failed': channel('viaduct:route-failed'),
  dns: channel('viaduct:dns'),
  dialing: channel('viaduct:dialing'),
  'attempt-failed': channel('viaduct:attempt-failed'),
  connected: channel('viaduct:connected'),
  secured: channel('viaduct:secured'),
  response: channel('viaduct:response'),
  upstreamResponse: channel('viaduct:upstreamResponse'),
  error: channel('viaduct:error'),
  connection: channel('viaduct:connection'),
  connectionClosed: channel('viaduct:connectionClosed'),
  established: channel('viaduct:established'),
  close: channel('viaduct:close'),
  health: channel('viaduct:health'),
  notice: channel('viaduct:notice'),
};

const STEP_START = channel('viaduct:step:start');
const STEP_END = channel('viaduct:step:end');

/**
 * Publishes every event to the tools of this process that subscribe (node:diagnostics_channel). Without a subscriber an event
 * costs one comparison. What a subscriber throws is an uncaught exception of its process, as Node has it for all channels.
 */
export function diagnosticsChannels(): Exporter {
  return {
    name: 'diagnostics channels',
    observe(event) {
      if (event.type === 'head') return;
      const published = CHANNELS[event.type];
      if (published.hasSubscribers) published.publish(event);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** A request has begun a step. */
export function publishStepStart(id: string, step: TimedStep): void {
  if (STEP_START.hasSubscribers) STEP_START.publish({ id, step });
}

/** The step has ended, by the next one or by the end of the request, after `ms`. */
export function publishStepEnd(id: string, step: TimedStep, ms: number): void {
  if (STEP_END.hasSubscribers) STEP_END.publish({ id, step, ms });
}

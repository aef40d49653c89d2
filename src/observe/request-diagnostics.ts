import type { Exporter, Observe, ProxyEvent } from '../contracts/event.ts';
import { FAILURES } from '../contracts/failure.ts';
import type { ProxyRecord } from '../contracts/record.ts';
import type { RouteSource } from '../contracts/stages.ts';
import { formatAuthority } from '../protocol/addresses/authority.ts';
import { routeText } from './record-text.ts';
import { durationText } from './units.ts';

/**
 * For `log.level: debug`: each step of each request as a notice that begins with the id of the request, which its line in
 * the access log and the refusal that its client has read carry too. No URL and no field of a head is in it.
 */
export function requestDiagnostics(observe: Observe): Exporter {
  return {
    name: 'request diagnostics',
    observe(event) {
      const step = stepOf(event);
      if (step !== undefined && 'id' in event)
        observe({ type: 'notice', level: 'debug', message: `request ${event.id}: ${step}` });
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function stepOf(event: ProxyEvent): string | undefined {
  switch (event.type) {
    case 'request': {
      const { method, target, client, protocol } = event.request;
      const from = client.address === '' ? client.listener : `${client.address} port ${client.port}`;
      return `${method} ${formatAuthority(target)} (${protocol}) from ${from}`;
    }
    case 'decided':
      return `rule "${event.decision.rule}": ${event.decision.verdict}`;
    case 'routed':
      return `routes: ${event.routes.map(routeText).join(', ')} (${sourceText(event.by)})`;
    case 'route-failed':
      return `route ${routeText(event.route)} failed: ${event.reason} (${durationText(event.ms)})`;
    case 'dns':
      return `${event.host} has the addresses ${event.addresses.join(' ')} (${durationText(event.ms)})`;
    case 'dialing':
      return `dials ${event.address} for ${formatAuthority(event.to)}, attempt ${event.attempt}`;
    case 'attempt-failed':
      return `${event.address || 'the address'} failed: ${event.reason} (${durationText(event.ms)})`;
    case 'connected':
      return `connected to ${event.address} (${durationText(event.ms)})`;
    case 'secured':
      return `TLS with ${event.proxy} (${durationText(event.ms)})`;
    case 'response':
      return `the client was answered ${event.status}`;
    case 'close':
      return `ended after ${durationText(event.record.durationMs)}${outcome(event.record)}`;
    default:
      return undefined;
  }
}

/** A peer that resets its connection is no error: most do so when they are done. */
function outcome({ end, failure, detail, bytesUp, bytesDown }: ProxyRecord): string {
  const moved = `${bytesUp} bytes up, ${bytesDown} bytes down`;
  if (failure === undefined) return `; ${end === undefined ? '' : `by: ${end}; `}${moved}`;
  return `; ${failure} (${FAILURES[failure].token})${detail === undefined ? '' : `: ${detail}`}; ${moved}`;
}

function sourceText(by: RouteSource): string {
  switch (by.kind) {
    case 'pac':
      return `decided by the PAC ${by.source}`;
    case 'rule':
      return `decided by the rule ${by.rule}`;
    case 'no-proxy':
      return `decided by noProxy: ${by.entry}`;
    case 'system':
      return `decided by the setting of the system, ${by.source}`;
    case 'proxy':
      return 'decided by routes.proxy';
    case 'mode':
      return `decided by the mode ${by.mode}`;
    case 'hook':
      return 'decided by the route hook';
    case 'default':
      return 'nothing is configured';
  }
}

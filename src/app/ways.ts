import type { ShownPac, ShownUpstream, Ways } from '../admin/controlled-proxy.ts';
import type { PacState } from '../pac/script.ts';
import type { ProxyHealthSummary } from '../upstream/health/proxy-health.ts';
import type { Clock } from '../util/clock.ts';
import type { SharedServices } from './shared-services.ts';

/** Upstream proxies and PAC of this process. */
export function waysOf({ health, pacService, clock }: Pick<SharedServices, 'health' | 'pacService' | 'clock'>): Ways {
  return {
    upstreams: health.describe().map((one) => shownUpstream(one, clock)),
    pac: shownPac(pacService.state, clock),
  };
}

function shownUpstream(
  { name, downUntilMs, lastSeenMs, lastFailure, latencyMs }: ProxyHealthSummary,
  clock: Clock,
): ShownUpstream {
  const wallOf = (ms: number | undefined) =>
    ms === undefined ? undefined : new Date(clock.wallMs() + ms - clock.now()).toISOString();
  return {
    name,
    state: downUntilMs === undefined ? 'up' : 'down',
    downUntil: wallOf(downUntilMs),
    lastSeenAt: wallOf(lastSeenMs),
    lastFailure,
    latencyMs: latencyMs.map((ms) => Math.round(ms * 10) / 10),
  };
}

function shownPac(state: PacState, clock: Clock): ShownPac {
  switch (state.at) {
    case 'none':
      return { state: 'none' };
    case 'system-proxies':
      return { state: state.at, source: state.proxies.source };
    case 'script': {
      const { source, readMs } = state.script;
      return { state: state.at, source, ageMs: Math.round(clock.now() - readMs), lastError: state.failure };
    }
    case 'unreachable':
      return { state: state.at, source: state.source, lastError: state.failure };
  }
}

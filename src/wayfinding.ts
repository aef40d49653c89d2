import type { Clock } from './core/clock.ts';
import type { Observe, Resolver, Router } from './core/contracts.ts';
import { systemWorld } from './pac/discovery/world.ts';
import { createPacEngine } from './pac/engine.ts';
import { ownAddresses } from './pac/own-addresses.ts';
import { pacRouter } from './pac/router.ts';
import type { PacSource, PacState } from './pac/script.ts';
import { pacSource } from './pac/source.ts';
import type { OwnAddresses } from './policy/own-addresses.ts';
import { parseIpWithZone } from './protocol/ip-address.ts';
import type { RoutesOptions } from './routing/options.ts';
import { watchBeside } from './watch/file.ts';
import { networkWatch } from './watch/network.ts';

export interface WayfindingOptions {
  readonly clock: Clock;
  readonly observe: Observe;
  readonly resolver: Resolver;
  readonly own: OwnAddresses;
  /** Where copies of scripts outlive a restart; `undefined`: nowhere. */
  readonly stateDir: string | undefined;
  readonly environment: NodeJS.ProcessEnv;
  /** Which helper calls a routing tells: `why` wants all. */
  readonly trace: 'calls' | 'lookups';
}

type PacSettings = Pick<RoutesOptions, 'pac' | 'pacUnreachable'>;

/** What the proxy knows of the PAC and of the network that it is in. Outlives reloads. */
export interface Wayfinding extends AsyncDisposable {
  /** Asks whatever PAC is followed now. */
  readonly router: Router;
  readonly state: PacState;
  /**
   * Follows another PAC, or goes on with the same; resolves after the first attempt to read it. Not before the
   * listeners are open: a setting that leads to ourselves is known by them.
   */
  follow(settings: PacSettings): Promise<void>;
  /** Calls back when the network is another one, after the PAC has learned of it. */
  onNewNetwork(changed: () => void): Disposable;
}

const NOT_YET: PacState = { at: 'unreachable', source: 'the configuration', trouble: 'it has not been read yet' };

export function findWays(options: WayfindingOptions): Wayfinding {
  const { clock, observe, resolver, own, stateDir, environment, trace } = options;
  const engine = createPacEngine({ clock, ownAddresses, resolve: (host, signal) => resolver.resolve(host, signal) });
  const network = networkWatch({ clock });
  let followed: (PacSettings & { readonly source: PacSource }) | undefined;
  const current = {
    get state(): PacState {
      return followed?.source.state ?? NOT_YET;
    },
  };
  const watching = network.onChange((changed) => {
    observe({ type: 'notice', level: 'info', message: `the network has changed (${changed.join(', ')})` });
    engine.networkChanged();
    followed?.source.renew();
  });
  return {
    router: pacRouter({ source: current, engine, clock, observe, trace: () => trace }),
    get state() {
      return current.state;
    },
    async follow({ pac, pacUnreachable }) {
      if (followed?.pac === pac && followed.pacUnreachable === pacUnreachable) return;
      const left = followed?.source;
      const source = pacSource({
        pac,
        whenUnreachable: pacUnreachable,
        clock,
        observe,
        resolver,
        isSelf: (address, port) => {
          const parsed = parseIpWithZone(address);
          return parsed !== undefined && own.include(parsed, port);
        },
        system: systemWorld(environment),
        watchFile: (path, changed) => watchBeside(path, clock, changed),
        stateDir,
      });
      followed = { pac, pacUnreachable, source };
      await Promise.all([left?.[Symbol.asyncDispose](), source.ready]);
      // Otherwise the first request would wait for the thread; without a script it would be 30 MiB for nothing.
      if (source.state.at === 'script') void engine.start();
    },
    onNewNetwork: (changed) => network.onChange(changed),
    async [Symbol.asyncDispose]() {
      watching[Symbol.dispose]();
      network[Symbol.dispose]();
      await followed?.source[Symbol.asyncDispose]();
      await engine[Symbol.asyncDispose]();
    },
  };
}

import type { Clock } from './core/clock.ts';
import type { Observe, Resolver, Router } from './core/contracts.ts';
import { systemWorld } from './pac/discovery/world.ts';
import { createPacEngine } from './pac/engine.ts';
import { boundedLookups, lookupsMax } from './pac/lookups.ts';
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
interface Followed extends PacSettings {
  readonly source: PacSource;
}

/** What the proxy knows of the PAC and of the network that it is in. Outlives reloads. */
export interface Wayfinding extends AsyncDisposable {
  /** Asks whatever PAC is followed now. */
  readonly router: Router;
  readonly state: PacState;
  /**
   * Follows another PAC, or goes on with the same; resolves after the first attempt to read it, and until then the one
   * before decides. Not before the listeners are open: a setting that leads to ourselves is known by them.
   */
  follow(settings: PacSettings): Promise<void>;
  /** Calls back when the network is another one, after the PAC has learned of it. */
  onNewNetwork(changed: () => void): Disposable;
}

const NOT_YET: PacState = { at: 'unreachable', source: 'the configuration', trouble: 'it has not been read yet' };

export function findWays(options: WayfindingOptions): Wayfinding {
  const { clock, observe, resolver, own, stateDir, environment, trace } = options;
  const resolve = boundedLookups(resolver, lookupsMax(environment.UV_THREADPOOL_SIZE));
  const engine = createPacEngine({ clock, ownAddresses, resolve });
  const network = networkWatch({ clock });
  let followed: Followed | undefined;
  /** What is followed once it has been read; the same most of the time. */
  let wanted: Followed | undefined;
  const sources = () => new Set([followed, wanted].flatMap((one) => one?.source ?? []));
  const current = {
    get state(): PacState {
      return followed?.source.state ?? NOT_YET;
    },
  };
  const watching = network.onChange((changed) => {
    observe({ type: 'notice', level: 'info', message: `the network has changed (${changed.join(', ')})` });
    engine.networkChanged();
    for (const source of sources()) source.renew();
  });
  return {
    router: pacRouter({ source: current, engine, clock, observe, trace: () => trace }),
    get state() {
      return current.state;
    },
    async follow({ pac, pacUnreachable }) {
      if (wanted?.pac === pac && wanted.pacUnreachable === pacUnreachable) return;
      const unread = wanted === followed ? undefined : wanted;
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
      const next: Followed = { pac, pacUnreachable, source };
      wanted = next;
      followed ??= next;
      await Promise.all([unread?.source[Symbol.asyncDispose](), source.ready]);
      // Another one is wanted meanwhile, and whoever wants it has ended this one or will.
      if (wanted !== next) return;
      const left = followed;
      followed = next;
      if (left !== next) await left.source[Symbol.asyncDispose]();
      // Otherwise the first request would wait for the thread; without a script it would be 30 MiB for nothing.
      if (source.state.at === 'script') void engine.start();
    },
    onNewNetwork: (changed) => network.onChange(changed),
    async [Symbol.asyncDispose]() {
      watching[Symbol.dispose]();
      network[Symbol.dispose]();
      await Promise.all([...sources()].map((source) => source[Symbol.asyncDispose]()));
      await engine[Symbol.asyncDispose]();
    },
  };
}

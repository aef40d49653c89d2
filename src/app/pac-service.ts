import type { SecureHop } from '../contracts/dialing.ts';
import type { Observe } from '../contracts/event.ts';
import type { Resolver } from '../contracts/resolver.ts';
import type { Router } from '../contracts/routing.ts';
import { watchFile } from '../files/watch-file.ts';
import { type NetworkSnapshot, networkSnapshot } from '../network/network-snapshot.ts';
import { networkWatch } from '../network/network-watch.ts';
import { settingsStamp } from '../pac/discovery/settings-stamp.ts';
import { systemWorld } from '../pac/discovery/world.ts';
import { createPacEngine } from '../pac/engine/engine.ts';
import { localAddresses } from '../pac/engine/local-addresses.ts';
import { pacSource } from '../pac/fetch/source.ts';
import { pacRouter } from '../pac/router.ts';
import type { PacSource, PacState } from '../pac/script.ts';
import type { ListenAddresses } from '../policy/listen-addresses.ts';
import { parseIpWithZone } from '../protocol/addresses/ip-address.ts';
import type { RoutesOptions } from '../routing/options.ts';
import type { UpstreamsOptions } from '../upstream/options.ts';
import type { Clock } from '../util/clock.ts';

export interface PacServiceOptions {
  readonly clock: Clock;
  readonly observe: Observe;
  readonly resolver: Resolver;
  readonly listenAddresses: ListenAddresses;
  /** TLS with the servers of PACs, as with upstream proxies; with the settings that are in force when it is called. */
  readonly secure: SecureHop;
  /** The folder in which copies of scripts outlive a restart; `undefined`: there is none. */
  readonly stateDir: string | undefined;
  readonly environment: NodeJS.ProcessEnv;
  /** Which helper calls are part of a routing: `why` prints all. */
  readonly trace: 'calls' | 'lookups';
}

type PacSettings = Pick<RoutesOptions, 'pac' | 'pacUnreachable' | 'unreachable'>;
interface PacConfiguration extends PacSettings {
  /** The certificate authorities that `upstreams` names: when they change, the PAC is fetched again. */
  readonly trust: string;
  readonly source: PacSource;
}
const trustIn = (upstreams: UpstreamsOptions): string =>
  JSON.stringify(upstreams.map(({ host, ca, serverName }) => [host, ca, serverName]));

/** The PAC in use and the network that this machine is in. Outlives reloads. */
export interface PacService extends AsyncDisposable {
  /** Routes by the PAC that is in use at the time of the call. */
  readonly router: Router;
  readonly state: PacState;
  /**
   * Uses another PAC, or goes on with the same. Resolves after the first attempt to read it; until then the PAC before
   * decides. To be called when the listeners are open: a PAC setting that leads to this proxy is recognised by them.
   */
  configure(settings: PacSettings, upstreams: UpstreamsOptions): Promise<void>;
  /** Calls back when this machine is in another network, after the PAC source was renewed. */
  onNewNetwork(changed: () => void): Disposable;
}

const withSettings = (snapshot: NetworkSnapshot | undefined, settings: string | undefined) =>
  snapshot && { ...snapshot, settings };

const NOT_YET: PacState = { at: 'unreachable', source: 'the configuration', failure: 'it has not been read yet' };

export function createPacService(options: PacServiceOptions): PacService {
  const { clock, observe, resolver, listenAddresses, secure, stateDir, environment, trace } = options;
  const engine = createPacEngine({ clock, localAddresses: localAddresses, resolve: resolver.resolve });
  const settings = settingsStamp(process.platform);
  const network = networkWatch({ clock, snapshot: () => withSettings(networkSnapshot(), settings()) });
  let active: PacConfiguration | undefined;
  /** The PAC that a call of `configure` still reads; the same as `active` when none does. */
  let requested: PacConfiguration | undefined;
  const sources = () => new Set([active, requested].flatMap((one) => one?.source ?? []));
  const current = {
    get state(): PacState {
      return active?.source.state ?? NOT_YET;
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
    async configure({ pac, pacUnreachable, unreachable }, upstreams) {
      const trust = trustIn(upstreams);
      const isSame = requested?.pac === pac && requested.pacUnreachable === pacUnreachable;
      if (isSame && requested?.unreachable === unreachable && requested.trust === trust) return;
      const unread = requested === active ? undefined : requested;
      const source = pacSource({
        pac,
        // With `unreachable: direct` the last copy is used as long as its proxies answer: requests go direct when they do not.
        whenUnreachable: unreachable === 'direct' ? 'last-copy' : pacUnreachable,
        ifUnreachable: pacUnreachable === 'direct' ? 'direct' : 'refuse',
        clock,
        observe,
        resolver,
        isSelf: (address, port) => {
          const parsed = parseIpWithZone(address);
          return parsed !== undefined && listenAddresses.include(parsed, port);
        },
        secure,
        system: systemWorld(environment),
        watchFile: (path, changed) => watchFile(path, clock, changed),
        stateDir,
      });
      const next: PacConfiguration = { pac, pacUnreachable, unreachable, trust, source };
      requested = next;
      active ??= next;
      await Promise.all([unread?.source[Symbol.asyncDispose](), source.ready]);
      // A later call has taken over, and disposes this source.
      if (requested !== next) return;
      const previous = active;
      active = next;
      if (previous !== next) await previous.source[Symbol.asyncDispose]();
      // The first request would wait for the thread otherwise. Without a script the thread would be 30 MiB for nothing.
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

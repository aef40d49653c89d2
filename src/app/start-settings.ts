import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../config/config.ts';

type StoreSettings = Pick<
  Config['limits'],
  'store' | 'storePassword' | 'storeSecret' | 'storeCa' | 'storePrefix' | 'onStoreDown'
>;

/** The values of all settings that are read once, when the proxy starts. */
interface StartValues {
  readonly workers: Config['workers'];
  readonly relay: Config['relay'];
  readonly 'limits.state': Config['limits']['state'];
  readonly 'limits.store': StoreSettings;
  readonly verbose: Config['verbose'];
  readonly admin: Config['admin'];
}
type StartSetting = keyof StartValues;

/** Why a reload cannot apply each of them. What is not in this list, a reload applies. */
export const START_SETTINGS: Readonly<Record<StartSetting, string>> = {
  workers: 'the processes are started once',
  relay: 'it also decides which kind of socket the open listeners accept',
  'limits.state': 'what the quotas have counted is read from their file once',
  'limits.store': 'the connection to the store is opened once',
  verbose: 'the command reads it when it starts',
  admin: 'its addresses are opened once',
};

const storeSettings = (limits: Config['limits']): StoreSettings => {
  const { store, storePassword, storeSecret, storeCa, storePrefix, onStoreDown } = limits;
  return { store, storePassword, storeSecret, storeCa, storePrefix, onStoreDown };
};

const valuesOf = ({ workers, relay, limits, verbose, admin }: Config): StartValues => ({
  workers,
  relay,
  'limits.state': limits.state,
  'limits.store': storeSettings(limits),
  verbose,
  admin,
});

const withValues = (
  config: Config,
  { workers, relay, 'limits.state': state, 'limits.store': store, verbose, admin }: StartValues,
): Config => ({
  ...config,
  workers,
  relay,
  verbose,
  admin,
  limits: { ...config.limits, state, ...store },
});

/** What a reload puts in force. */
export interface ReloadableConfig {
  /** The next configuration, with the start's value of each setting that is read once. */
  readonly config: Config;
  /** One line for each setting that was changed in vain. */
  readonly notices: readonly string[];
  /** To be called when the configuration is in force: what was reported once is not reported again. */
  commit(): void;
}

/** Remembers the values of the start, and those that the last reload asked for: no more of a configuration, which may be large. */
export class StartSettings {
  readonly #inForce: StartValues;
  #requested: StartValues;

  constructor(config: Config) {
    this.#inForce = valuesOf(config);
    this.#requested = this.#inForce;
  }

  reloadable(next: Config): ReloadableConfig {
    const values = valuesOf(next);
    const differs = (from: StartValues) => (name: StartSetting) => !isDeepStrictEqual(values[name], from[name]);
    const names = (Object.keys(START_SETTINGS) as StartSetting[]).filter(differs(this.#inForce));
    const commit = () => {
      this.#requested = values;
    };
    return {
      config: names.length === 0 ? next : withValues(next, this.#inForce),
      notices: names.filter(differs(this.#requested)).map(noticeFor),
      commit,
    };
  }
}

const noticeFor = (name: StartSetting): string =>
  `${name}: the new value applies from the next start: ${START_SETTINGS[name]}`;

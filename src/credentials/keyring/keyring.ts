import { Secret } from '../../contracts/secret.ts';
import type { Clock } from '../../util/clock.ts';
import type { Environment } from '../environment.ts';
import { credentialManager } from './credential-manager.ts';
import type { Entry, EntryOf } from './keyring-entry.ts';
import { checkReadable, checkWritable, type ServiceState } from './secret-service.ts';

/** The keyring of the operating system. No program is started for it, and the user is not asked to unlock it. */
export interface Keyring {
  /** `entry` is a user name; `DOMAIN\user` in our own service. */
  find(service: string, entry: string): Promise<KeyringEntry>;
  store(service: string, entry: string, secret: Secret): Promise<KeyringChange>;
  remove(service: string, entry: string): Promise<KeyringChange>;
}
export type KeyringEntry =
  | { readonly at: 'found'; readonly secret: Secret }
  | { readonly at: 'absent' }
  /** `why` is for people. */
  | { readonly at: 'unavailable'; readonly why: string };
export type KeyringChange =
  | { readonly at: 'done' }
  | { readonly at: 'absent' }
  | { readonly at: 'unavailable'; readonly why: string };

/** The service under which our own entries are stored. */
export const KEYRING_SERVICE = 'viaduct';

/** A keyring is a program on the same machine; one that takes longer hangs, or waits for a person. */
const KEYRING_MS = 5000;

export interface KeyringDeps {
  readonly clock: Clock;
  readonly environment: Environment;
  readonly platform: NodeJS.Platform;
  /** The client library; `undefined`: there is none for this machine. Default: `@napi-rs/keyring`, on Windows the system's own functions. */
  readonly load?: () => Promise<EntryOf | undefined>;
}

export function systemKeyring({ clock, environment, platform, load = () => clientOf(platform) }: KeyringDeps): Keyring {
  /** Only Linux and the BSDs reach their keyring by a bus; elsewhere it is a part of the system. */
  const isOnBus = platform !== 'darwin' && platform !== 'win32';

  async function within<T extends KeyringEntry | KeyringChange>(
    check: (signal: AbortSignal) => Promise<ServiceState>,
    service: string,
    entry: string,
    use: (entry: Entry, signal: AbortSignal) => Promise<T>,
  ): Promise<T | Exclude<ServiceState, { at: 'ready' }>> {
    const ended = new AbortController();
    using _timer = clock.after(KEYRING_MS, () => ended.abort());
    const state = isOnBus ? await check(ended.signal) : ({ at: 'ready' } as const);
    if (state.at !== 'ready') return state;
    const entryOf = await load();
    if (entryOf === undefined) return { at: 'unavailable', why: 'there is no keyring library for this machine' };
    try {
      return await untilAborted(use(entryOf(service, entry), ended.signal), ended.signal);
    } catch {
      // The library distinguishes a locked keyring from a missing one only by its text, and text is no interface.
      return { at: 'unavailable', why: 'the keyring returns no secret' };
    }
  }

  return {
    find: (service, entry) =>
      within(
        (signal) => checkReadable(environment, service, entry, signal),
        service,
        entry,
        async (found, signal) => {
          const text = await found.getPassword(signal);
          return text === null ? { at: 'absent' } : { at: 'found', secret: new Secret(text) };
        },
      ),
    store: (service, entry, secret) =>
      within(
        (signal) => checkWritable(environment, signal),
        service,
        entry,
        async (found, signal) => {
          await found.setPassword(secret.reveal(), signal);
          return { at: 'done' };
        },
      ),
    remove: (service, entry) =>
      within(
        (signal) => checkReadable(environment, service, entry, signal),
        service,
        entry,
        async (found, signal) => ((await found.deletePassword(signal)) ? { at: 'done' } : { at: 'absent' }),
      ),
  };
}

/** A call of the library may go on after its signal; the promise does not. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(new Error('the keyring did not answer in time'));
    const finish = (settle: () => void) => {
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    signal.addEventListener('abort', onAbort);
    work.then(
      (value) => finish(() => resolve(value)),
      (error: unknown) => finish(() => reject(error)),
    );
  });
}

/** Windows is called without a library in between: that one fails to load on systems that lack one of the functions which it wants. */
const clientOf = async (platform: NodeJS.Platform): Promise<EntryOf | undefined> =>
  (platform === 'win32' ? await credentialManager() : undefined) ?? (await keyringLibrary());

async function keyringLibrary(): Promise<EntryOf | undefined> {
  try {
    const { AsyncEntry } = await import('@napi-rs/keyring');
    // Without a Secret Service the library would take the kernel's keyring instead, which forgets at the next boot.
    return (service, entry) => new AsyncEntry(service, entry, { linux: { store: 'secret-service' } });
  } catch {
    return undefined;
  }
}

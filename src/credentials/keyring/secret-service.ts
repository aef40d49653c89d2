import type { Environment } from '../environment.ts';
import type { BusCall, BusReader } from './dbus-message.ts';
import { BusError, SessionBus, sessionBusPath } from './session-bus.ts';

/** The state of a Linux desktop's keyring, before a secret is read from it. */
export type ServiceState =
  | { readonly at: 'ready' }
  | { readonly at: 'absent' }
  /** No bus, no keyring on it, or a locked one: `why` is for people. */
  | { readonly at: 'unavailable'; readonly why: string };

const SERVICE = 'org.freedesktop.secrets';
const NO_SERVICE: ServiceState = { at: 'unavailable', why: 'no keyring runs in this session' };
const LOCKED: ServiceState = { at: 'unavailable', why: 'the keyring is locked' };

/** `SearchItems` of the Secret Service API: first the items that are unlocked, then those that are locked. */
const searchItems = (service: string, username: string): BusCall => ({
  destination: SERVICE,
  path: '/org/freedesktop/secrets',
  interface: 'org.freedesktop.Secret.Service',
  member: 'SearchItems',
  args: [{ type: 'a{ss}', value: { service, username } }],
});

/** Whether the collection that new items go to is locked. */
const IS_LOCKED: BusCall = {
  destination: SERVICE,
  path: '/org/freedesktop/secrets/aliases/default',
  interface: 'org.freedesktop.DBus.Properties',
  member: 'Get',
  args: [
    { type: 's', value: 'org.freedesktop.Secret.Collection' },
    { type: 's', value: 'Locked' },
  ],
};

/** Whether an entry can be read without asking the user to unlock something. */
export function checkReadable(
  environment: Environment,
  service: string,
  username: string,
  signal: AbortSignal,
): Promise<ServiceState> {
  return queryService(environment, searchItems(service, username), signal, (body) => {
    const [unlocked, locked] = [body.paths(), body.paths()];
    if (unlocked.length > 0) return { at: 'ready' };
    return locked.length > 0 ? LOCKED : { at: 'absent' };
  });
}

/** Whether an entry can be written without asking the user to unlock something. */
export function checkWritable(environment: Environment, signal: AbortSignal): Promise<ServiceState> {
  return queryService(environment, IS_LOCKED, signal, (body) => {
    const signature = body.signature();
    return signature === 'b' && body.basic('b') === 0 ? { at: 'ready' } : LOCKED;
  });
}

async function queryService(
  environment: Environment,
  call: BusCall,
  signal: AbortSignal,
  judge: (body: BusReader) => ServiceState,
): Promise<ServiceState> {
  const path = sessionBusPath(environment);
  if (path === undefined) return NO_SERVICE;
  try {
    using bus = await SessionBus.open(path, signal);
    return judge(await bus.call(call));
  } catch (error) {
    return error instanceof BusError
      ? failureOf(error)
      : { at: 'unavailable', why: 'the keyring cannot be understood' };
  }
}

/** An object that the keyring does not know means that it has no collection to write to. */
function failureOf({ errorName }: BusError): ServiceState {
  const isThere = errorName !== undefined && !/\.(ServiceUnknown|NameHasNoOwner)$/.test(errorName);
  return isThere ? { at: 'unavailable', why: 'the keyring has no collection for passwords' } : NO_SERVICE;
}

import type { BusCall, BusReader } from './dbus-message.ts';
import type { Environment } from './environment.ts';
import { BusError, SessionBus, sessionBusPath } from './session-bus.ts';

/** What the keyring of a Linux desktop says before it is asked for a secret. */
export type ServiceAnswer =
  | { readonly at: 'ready' }
  | { readonly at: 'absent' }
  /** No bus, no keyring on it, or a locked one: `why` is for people. */
  | { readonly at: 'unavailable'; readonly why: string };

const SERVICE = 'org.freedesktop.secrets';
const NO_SERVICE: ServiceAnswer = { at: 'unavailable', why: 'no keyring runs in this session' };
const LOCKED: ServiceAnswer = { at: 'unavailable', why: 'the keyring is locked' };

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

/** Whether an entry can be read without anybody being asked to unlock something. */
export function mayRead(
  environment: Environment,
  service: string,
  username: string,
  signal: AbortSignal,
): Promise<ServiceAnswer> {
  return asked(environment, searchItems(service, username), signal, (body) => {
    const [unlocked, locked] = [body.paths(), body.paths()];
    if (unlocked.length > 0) return { at: 'ready' };
    return locked.length > 0 ? LOCKED : { at: 'absent' };
  });
}

/** Whether an entry can be written without anybody being asked to unlock something. */
export function mayWrite(environment: Environment, signal: AbortSignal): Promise<ServiceAnswer> {
  return asked(environment, IS_LOCKED, signal, (body) => {
    const signature = body.signature();
    return signature === 'b' && body.basic('b') === 0 ? { at: 'ready' } : LOCKED;
  });
}

async function asked(
  environment: Environment,
  call: BusCall,
  signal: AbortSignal,
  judge: (body: BusReader) => ServiceAnswer,
): Promise<ServiceAnswer> {
  const path = sessionBusPath(environment);
  if (path === undefined) return NO_SERVICE;
  try {
    using bus = await SessionBus.open(path, signal);
    return judge(await bus.call(call));
  } catch (error) {
    return error instanceof BusError
      ? becauseOf(error)
      : { at: 'unavailable', why: 'the keyring cannot be understood' };
  }
}

/** An object that the keyring does not know means that it has no collection to write to. */
function becauseOf({ errorName }: BusError): ServiceAnswer {
  const isThere = errorName !== undefined && !/\.(ServiceUnknown|NameHasNoOwner)$/.test(errorName);
  return isThere ? { at: 'unavailable', why: 'the keyring has no collection for passwords' } : NO_SERVICE;
}

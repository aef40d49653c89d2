import type { Clock } from '../util/clock.ts';
import type { CredentialStoreDeps } from './credential-store.ts';
import type { Environment } from './environment.ts';
import { systemKeyring } from './keyring/keyring.ts';
import { loginName } from './login-name.ts';

/** The sources of a store without a user to ask: in a program that embeds the proxy. */
export function defaultSources(clock: Clock, environment: Environment): CredentialStoreDeps {
  return {
    clock,
    environment,
    keyring: systemKeyring({ clock, environment, platform: process.platform }),
    loginFile: undefined,
    loginName: loginName(),
    startedMs: clock.wallMs(),
    prompted: new Map(),
  };
}

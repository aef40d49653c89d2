import type { Clock } from '../core/clock.ts';
import type { BookParts } from './book.ts';
import type { Environment } from './environment.ts';
import { systemKeyring } from './keyring.ts';
import { loginName } from './login-name.ts';

/** What a book reads where nobody is there to be asked: in a program that embeds the proxy. */
export function unattendedSources(clock: Clock, environment: Environment): BookParts {
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

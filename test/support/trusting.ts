import type { SecureHop } from '../../src/contracts/dialing.ts';
import { tlsToProxies } from '../../src/upstream/tls/tls-to-proxies.ts';
import { machineRoots, TLS_RULES } from '../../src/upstream/tls/trust.ts';
import { systemClock } from '../../src/util/clock.ts';

/** TLS as the proxy has it, with the server of a PAC; `certificates` are trusted besides those of this machine. */
export const trusting = (...certificates: readonly string[]): SecureHop =>
  tlsToProxies({
    settingsOf: () => ({ ...TLS_RULES, ca: [...machineRoots(), ...certificates] }),
    connectMs: 5_000,
    clock: systemClock,
  });

import type { LoginAttempt, LoginLimiter } from './login-attempt.ts';

const UNLIMITED: LoginAttempt = {
  kind: 'trusted',
  hasWaited: false,
  asksProxyFirst: false,
  isInDoubt: false,
  wasAccepted: false,
  accepted: () => undefined,
  rejected: () => undefined,
  doubt: () => 'again',
  [Symbol.dispose]: () => undefined,
};

/** For an account that cannot be locked (`latch: false`): each request tries its login, beside all others. */
export const unlimitedLogins: LoginLimiter = {
  isRejected: false,
  retryMs: undefined,
  acquire: () => Promise.resolve(UNLIMITED),
};

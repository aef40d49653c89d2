import { systemClock } from '../../src/core/clock.ts';
import { loginBook } from '../../src/upstream/auth/login-book.ts';
import { AuthMemory } from '../../src/upstream/auth/memory.ts';
import { UpstreamAuth } from '../../src/upstream/auth/upstream-auth.ts';

/** Nothing is known of upstream proxies but the login in their URL. */
export function byLogin(): UpstreamAuth {
  const memory = new AuthMemory(systemClock);
  return new UpstreamAuth({ book: loginBook, memory, tickets: undefined, workstation: '', clock: systemClock });
}

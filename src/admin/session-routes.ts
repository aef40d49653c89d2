import { TokenError } from '../credentials/admin-token.ts';
import { AdminError } from './admin-error.ts';
import type { ApiDeps } from './api-deps.ts';
import { audit } from './audit.ts';
import { CODE_MS } from './one-time-codes.ts';
import type { Route } from './routes.ts';

/** Links for browsers, and the token itself, for `viaduct token`. */
export function sessionRoutes({ clock, observe, token, link, onRotated }: ApiDeps): Route[] {
  return [
    {
      method: 'POST',
      path: '/api/link',
      purpose: 'api',
      run() {
        const url = link();
        if (url === undefined) throw new AdminError(409, 'no_address', 'This proxy runs with --no-admin.');
        return { status: 200, json: { url, expiresAt: new Date(clock.wallMs() + CODE_MS).toISOString() } };
      },
    },
    {
      method: 'GET',
      path: '/api/token',
      purpose: 'api',
      run({ entrance }) {
        // Who has come with the token has it; no other client needs it.
        if (entrance.reach !== 'control') throw new AdminError(403, 'control', 'Only the control socket gives it.');
        return { status: 200, json: { token: token.read() } };
      },
    },
    {
      method: 'POST',
      path: '/api/token',
      purpose: 'api',
      run({ from, entrance }) {
        if (entrance.reach !== 'control') throw new AdminError(403, 'control', 'Only the control socket takes this.');
        try {
          const fresh = token.rotate();
          onRotated();
          audit(observe, 'replaced the token', from);
          return { status: 200, json: { token: fresh } };
        } catch (error) {
          if (error instanceof TokenError) throw new AdminError(409, 'configured', error.message);
          throw error;
        }
      },
    },
  ];
}

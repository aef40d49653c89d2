import { AdminError, badRequest } from './admin-error.ts';
import type { ApiDeps } from './api-deps.ts';
import { audit } from './audit.ts';
import { member } from './read-json.ts';
import type { Route } from './routes.ts';

/** What the program around the proxy does: reload, drain, and its settings. */
export function ownerRoutes({ owner = {}, proxy, observe, drained }: ApiDeps): Route[] {
  const unsupported = () =>
    new AdminError(501, 'embedded', 'The program that embeds this proxy does that; the API cannot.');
  return [
    {
      method: 'GET',
      path: '/api/config',
      purpose: 'api',
      run() {
        if (owner.settings === undefined) throw unsupported();
        return { status: 200, json: { settings: owner.settings() } };
      },
    },
    {
      method: 'POST',
      path: '/api/reload',
      purpose: 'api',
      async run({ from }) {
        if (owner.reload === undefined) throw unsupported();
        audit(observe, 'asked for a reload', from);
        return { status: 200, json: await owner.reload() };
      },
    },
    {
      method: 'POST',
      path: '/api/drain',
      purpose: 'api',
      async run({ body, from }) {
        if (owner.drain === undefined) throw unsupported();
        const exit = member(body, 'exit') ?? true;
        if (typeof exit !== 'boolean') throw badRequest('"exit" must be true or false.');
        audit(observe, exit ? 'stops the proxy after a drain' : 'drains the proxy', from);
        const open = await proxy.open;
        drained();
        owner.drain(exit ? 'ends' : 'stays');
        return { status: 202, json: { open } };
      },
    },
  ];
}

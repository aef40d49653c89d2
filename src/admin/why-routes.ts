import { isIP } from 'node:net';
import { badRequest } from './admin-error.ts';
import type { ApiDeps } from './api-deps.ts';
import type { Route } from './routes.ts';

const URL_CHARACTERS_MAX = 8_192;

/** What the proxy would decide, without sending anything. */
export function whyRoutes({ proxy }: ApiDeps): Route[] {
  return [
    {
      method: 'GET',
      path: '/api/why',
      purpose: 'api',
      async run({ query }) {
        const url = query.get('url') ?? '';
        if (url === '' || url.length > URL_CHARACTERS_MAX) throw badRequest('Write ?url= with a URL or host:port.');
        const from = query.get('from') ?? '127.0.0.1';
        if (isIP(from) === 0) throw badRequest('"from" must be an IP address.');
        const listener = query.get('listener') ?? undefined;
        if (listener !== undefined && !proxy.urls.includes(listener))
          throw badRequest(`"listener" must be one of ${proxy.urls.join(', ')}.`);
        const answer = await proxy.why({ url, from, user: query.get('as') ?? undefined, listener });
        if ('problem' in answer) throw badRequest(answer.problem);
        return { status: 200, json: JSON.parse(answer.report) };
      },
    },
  ];
}

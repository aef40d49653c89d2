import { AdminError, badRequest } from './admin-error.ts';
import type { ApiDeps } from './api-deps.ts';
import { audit } from './audit.ts';
import { textMember } from './read-json.ts';
import type { Route } from './routes.ts';

/** A URL that no server takes is no question. */
const URL_CHARACTERS_MAX = 8_192;

/** One request, made for the learner's page: each message on every hop. One at a time, since each starts a proxy. */
export function explainRoutes({ owner = {}, observe }: ApiDeps): Route[] {
  let isRunning = false;
  return [
    {
      method: 'POST',
      path: '/api/explain',
      purpose: 'api',
      async run({ body, from }) {
        if (owner.explain === undefined) {
          throw new AdminError(501, 'embedded', 'Only the command explains requests: viaduct explain URL.');
        }
        const url = textMember(body, 'url') ?? '';
        if (url === '' || url.length > URL_CHARACTERS_MAX) throw badRequest('"url" must be a URL.');
        if (isRunning) throw new AdminError(409, 'busy', 'Another request is being explained; try again in a moment.');
        isRunning = true;
        try {
          audit(observe, 'made a request to explain it', from);
          const explained = await owner.explain(url);
          if ('problem' in explained) throw badRequest(explained.problem);
          return { status: 200, json: explained };
        } finally {
          isRunning = false;
        }
      },
    },
  ];
}

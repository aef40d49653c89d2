import {
  type ApiDescription,
  integer,
  listOf,
  mode,
  type Operation,
  object,
  ref,
  SCHEMAS,
  type Schema,
  text,
  time,
  yesNo,
} from './openapi-schemas.ts';

const json = (schema: Schema): unknown => ({ content: { 'application/json': { schema } } });
const gives = (description: string, schema: Schema): unknown => ({ description, ...Object(json(schema)) });
const failed = (description: string): unknown => gives(description, ref('Error'));
const body = (schema: Schema, required: boolean): unknown => ({ required, ...Object(json(schema)) });
const inPath = (name: string): unknown => ({ name, in: 'path', required: true, schema: text });
const inQuery = (name: string, description: string, required = false): unknown => ({
  name,
  in: 'query',
  required,
  description,
  schema: text,
});

const reason: Schema = { type: 'string', description: 'For the record of each.' };

/** The description of everything that the admin addresses serve besides the dashboard. */
export function apiDescription(version: string): ApiDescription {
  return {
    openapi: '3.1.0',
    info: { title: 'Viaduct', version, description: 'Shows and steers a running proxy.' },
    security: [{ token: [] }],
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } }, schemas: SCHEMAS },
    paths: PATHS,
  };
}

const setsMode: Operation = {
  summary:
    'Sets the mode. `for`: a time such as "15m", at most 7d; without it the mode ends with the next reload or restart. `configured` ends a mode.',
  requestBody: body(object({ mode, for: { type: ['string', 'number'] } }, ['for']), true),
  responses: {
    200: gives('The mode.', ref('Mode')),
    400: failed('No such mode, or no such time.'),
    403: failed('Others can reach this proxy, and admin.modes is not true.'),
    409: failed('The configuration has nothing for this mode.'),
  },
};

const PATHS: ApiDescription['paths'] = {
  '/healthz': {
    get: {
      summary: 'Whether the process answers.',
      security: [],
      responses: { 200: gives('It does.', object({ status: text })) },
    },
  },
  '/readyz': {
    get: {
      summary: 'Whether the proxy takes requests.',
      security: [],
      responses: {
        200: gives('It does.', object({ status: text })),
        503: gives('It starts, or drains.', object({ status: text })),
      },
    },
  },
  '/metrics': {
    get: {
      summary: 'Metrics, for Prometheus; without the token on loopback unless admin.metrics says otherwise.',
      security: [{}, { token: [] }],
      responses: { 200: { description: 'Text.', content: { 'text/plain': { schema: text } } } },
    },
  },
  '/api/openapi.json': {
    get: { summary: 'This description.', responses: { 200: gives('OpenAPI 3.1.', { type: 'object' }) } },
  },
  '/api/session': {
    post: {
      summary: 'Exchanges the code of a link for the token.',
      security: [],
      requestBody: body(object({ code: text }), true),
      responses: { 200: gives('The token.', object({ token: text })), 401: failed('The code is used or too old.') },
    },
  },
  '/api/link': {
    post: {
      summary: 'Makes a link that signs a browser in once, within ten minutes.',
      responses: { 200: gives('The link.', object({ url: text, expiresAt: time })), 409: failed('--no-admin.') },
    },
  },
  '/api/token': {
    get: {
      summary: 'The token; through the control socket alone.',
      responses: { 200: gives('The token.', object({ token: text })), 403: failed('Not the control socket.') },
    },
    post: {
      summary: 'Replaces the token; through the control socket alone.',
      responses: {
        200: gives('The new token.', object({ token: text })),
        403: failed('Not the control socket.'),
        409: failed('The configuration names the token.'),
      },
    },
  },
  '/api/status': {
    get: { summary: 'What runs here.', responses: { 200: gives('The status.', ref('Status')) } },
  },
  '/api/tunnels': {
    get: {
      summary: 'Tunnels and requests in progress.',
      parameters: [inQuery('closed', '1 adds those that have ended, the last 500 of each process.')],
      responses: { 200: gives('Rows.', object({ tunnels: listOf(ref('Row')) })) },
    },
  },
  '/api/tunnels/{id}': {
    delete: {
      summary: 'Ends one.',
      parameters: [inPath('id')],
      requestBody: body(object({ reason }, ['reason']), false),
      responses: { 204: { description: 'It ends.' }, 404: failed('It has ended.') },
    },
  },
  '/api/tunnels/{id}/steps': {
    get: {
      summary:
        'What the steps of a request consisted of; nothing where that is forgotten (the last 1,024 requests are kept).',
      parameters: [inPath('id')],
      responses: { 200: gives('Parts, in the order in which they ended.', object({ steps: listOf(ref('StepPart')) })) },
    },
  },
  '/api/tunnels/end': {
    post: {
      summary: 'Ends many.',
      requestBody: body(object({ ids: listOf(text), reason }, ['reason']), true),
      responses: { 200: gives('How many were in progress.', object({ ended: integer })) },
    },
  },
  '/api/events': {
    get: {
      summary:
        'Server-sent events: `snapshot` (schema Snapshot) at once, `change` (Change) each second with the rows that differ, `log` (LogLine); a comment every 15 s.',
      responses: { 200: { description: 'Events.', content: { 'text/event-stream': { schema: text } } } },
    },
  },
  '/api/limits': {
    get: {
      summary: 'Every limit.',
      responses: {
        200: gives(
          'Limits, and the store that other instances count them in.',
          object({ limits: listOf(ref('Limit')), store: ref('LimitStore') }, ['store']),
        ),
      },
    },
  },
  '/api/limits/{name}': {
    put: {
      summary: 'Sets the rate of a bandwidth limit, until a reload.',
      parameters: [inPath('name')],
      requestBody: body(object({ rate: { type: ['string', 'number'] } }), true),
      responses: {
        200: gives('The limit.', ref('Limit')),
        404: failed('There is no such limit.'),
        409: failed('It has no rate.'),
      },
    },
  },
  '/api/upstreams': {
    get: {
      summary: 'Upstream proxies and chains that something is known of.',
      responses: { 200: gives('Proxies.', object({ upstreams: listOf(ref('Upstream')) })) },
    },
  },
  '/api/pac': {
    get: { summary: 'The PAC in use.', responses: { 200: gives('Its state.', ref('Pac')) } },
  },
  '/api/credentials': {
    get: {
      summary: 'Our accounts at upstream proxies, and those that the configuration names; never a secret.',
      responses: { 200: gives('Accounts.', object({ accounts: listOf(ref('Account')) })) },
    },
  },
  '/api/totals': {
    get: {
      summary: 'What was requested and moved in the last hour or day, the most bytes first.',
      parameters: [
        inQuery('by', 'client, user, host or route. Default: client.'),
        inQuery('window', 'hour or day. Default: hour.'),
      ],
      responses: {
        200: gives('Totals.', object({ by: text, window: text, totals: listOf(ref('Total')) })),
        400: failed('There is no such key or window.'),
      },
    },
  },
  '/api/rules': {
    get: {
      summary:
        'Rules and how often each has decided since the start, the most frequent first; the first 1,024 of each kind also where they never have.',
      responses: { 200: gives('Rules.', object({ rules: listOf(ref('Rule')) })) },
    },
  },
  '/api/why': {
    get: {
      summary: 'What would be decided about a URL, as `viaduct why --json`; nothing is sent but DNS queries.',
      parameters: [
        inQuery('url', 'A URL, or host:port.', true),
        inQuery('from', 'Address of the client. Default: 127.0.0.1.'),
        inQuery('as', 'The user, as if the password were right.'),
        inQuery('listener', 'URL of the listener that the client would use. Default: the first.'),
      ],
      responses: { 200: gives('The report.', { type: 'object' }), 400: failed('The URL cannot be asked about.') },
    },
  },
  '/api/explain': {
    post: {
      summary:
        'Makes one request, and gives the page that explains it, as `viaduct explain URL --html`; one at a time.',
      requestBody: body(object({ url: text }), true),
      responses: {
        200: gives('The page, in HTML.', object({ page: text })),
        400: failed('The URL cannot be explained.'),
        409: failed('Another one is being explained.'),
        501: failed('Embedded.'),
      },
    },
  },
  '/api/mode': {
    get: {
      summary: 'The mode: what takes the place of the PAC and of the configured proxies.',
      responses: { 200: gives('The mode.', ref('Mode')) },
    },
    post: setsMode,
    put: setsMode,
  },
  '/api/config': {
    get: {
      summary: 'Every setting in force and where it came from; secrets are masked.',
      responses: { 200: gives('Settings.', object({ settings: listOf(ref('Setting')) })), 501: failed('Embedded.') },
    },
  },
  '/api/reload': {
    post: {
      summary: 'Reads the configuration anew, as SIGHUP does.',
      responses: {
        200: gives('What became of it.', object({ applied: yesNo, message: text })),
        501: failed('Embedded.'),
      },
    },
  },
  '/api/drain': {
    post: {
      summary: 'Takes no more requests, waits for open ones, then ends the process; `exit: false` keeps it.',
      requestBody: body(object({ exit: yesNo }, ['exit']), false),
      responses: { 202: gives('Requests that are open.', object({ open: integer })), 501: failed('Embedded.') },
    },
  },
};

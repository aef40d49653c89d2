/** What the API sends and takes, as schemas; `openapi.ts` says where. */

/** A part of the description: JSON Schema 2020-12, as OpenAPI 3.1 has it. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
}

export interface Operation {
  readonly summary: string;
  /** `[]`: no token is asked for. */
  readonly security?: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters?: readonly unknown[];
  readonly requestBody?: unknown;
  readonly responses: Readonly<Record<string, unknown>>;
}

export interface ApiDescription {
  readonly openapi: '3.1.0';
  readonly info: unknown;
  readonly security: readonly unknown[];
  readonly components: { readonly securitySchemes: unknown; readonly schemas: Readonly<Record<string, Schema>> };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

export const text: Schema = { type: 'string' };
const number: Schema = { type: 'number' };
export const integer: Schema = { type: 'integer' };
export const yesNo: Schema = { type: 'boolean' };
export const time: Schema = { type: 'string', description: 'ISO 8601, UTC.' };
export const listOf = (items: Schema): Schema => ({ type: 'array', items });
export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const counts: Schema = { type: 'object', additionalProperties: number };

/** All properties are required but those whose names are given. */
export function object(properties: Readonly<Record<string, Schema>>, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required, additionalProperties: false };
}

export const mode: Schema = { type: 'string', enum: ['configured', 'pac', 'direct', 'proxy'] };

export const SCHEMAS: Readonly<Record<string, Schema>> = {
  Error: object({ error: object({ code: text, message: text }) }),
  Status: object({
    name: text,
    version: text,
    pid: integer,
    startedAt: time,
    workers: integer,
    mode: ref('Mode'),
    draining: yesNo,
    listeners: listOf(text),
    relay: text,
    now: time,
  }),
  Mode: object(
    {
      mode,
      until: { ...time, description: 'Absent: until a reload or restart.' },
      available: { ...listOf(mode), description: 'Those that the configuration has something for.' },
    },
    ['until'],
  ),
  Row: object(
    {
      id: text,
      kind: { type: 'string', enum: ['tunnel', 'forward', 'local', 'malformed'] },
      target: text,
      method: text,
      url: text,
      client: text,
      clientName: { type: 'string', description: 'Of a private address, by reverse DNS.' },
      clientPort: integer,
      user: text,
      listener: text,
      protocol: { type: 'string', description: 'What the client speaks: HTTP/1.1, HTTP/2.0, SOCKS5.' },
      tls: { type: 'string', description: 'TLS between the client and this proxy, e.g. TLSv1.3.' },
      route: { type: 'string', description: 'direct, direct_fallback, or the URLs of the proxies, nearest first.' },
      rule: text,
      limits: listOf(text),
      heldBy: { type: 'string', description: 'Name of the limit that holds it back now.' },
      state: { type: 'string', enum: ['identify', 'admit', 'route', 'connect', 'wait', 'relay', 'closed'] },
      startedAt: time,
      ageMs: number,
      bytesUp: integer,
      bytesDown: integer,
      rateUp: { type: 'number', description: 'Bytes per second, measured while events are read.' },
      rateDown: number,
      status: integer,
      failure: text,
      detail: text,
      end: text,
      address: text,
      timings: { ...counts, description: 'Milliseconds of each step.' },
    },
    ['url', 'clientName', 'user', 'tls', 'route', 'rule', 'heldBy', 'status', 'failure', 'detail', 'end', 'address'],
  ),
  Counters: object({
    at: time,
    open: integer,
    bytesUp: integer,
    bytesDown: integer,
    rateUp: { type: 'number', description: 'Bytes per second.' },
    rateDown: number,
    requestsPerSecond: number,
    failures: { ...counts, description: 'Since the start, by code.' },
    loopDelayMs: { type: 'number', description: 'How late the event loop was, in the process that was the latest.' },
    heldBy: { ...counts, description: 'How many rows each limit holds back now.' },
  }),
  Snapshot: object({
    status: ref('Status'),
    counters: ref('Counters'),
    tunnels: listOf(ref('Row')),
    closed: listOf(ref('Row')),
  }),
  Change: object({ at: time, counters: ref('Counters'), tunnels: listOf(ref('Row')), closed: listOf(ref('Row')) }),
  LogLine: object({ at: time, level: text, message: text }),
  Limit: object(
    {
      name: text,
      kind: { type: 'string', enum: ['bandwidth', 'tunnels', 'requests', 'quota'] },
      per: text,
      rate: { type: 'number', description: 'Bytes, or requests, per second.' },
      burst: number,
      direction: { type: 'string', enum: ['up', 'down', 'both'] },
      priority: text,
      active: integer,
      waiting: integer,
      used: number,
      max: number,
      level: { type: 'number', description: 'used of max.' },
      bytes: integer,
      refused: integer,
    },
    ['rate', 'burst', 'direction', 'priority', 'used', 'max', 'level', 'bytes', 'refused'],
  ),
  LimitStore: object(
    {
      up: { type: 'boolean' },
      instances: { type: 'integer', description: 'That share the limits, as far as is known.' },
      calls: integer,
      errors: integer,
      callMs: { type: 'number', description: 'Time of a call, a moving average.' },
      problem: text,
    },
    ['problem'],
  ),
  Upstream: object(
    {
      name: text,
      state: { type: 'string', enum: ['up', 'down'] },
      downUntil: time,
      lastSeenAt: time,
      lastFailure: text,
      latencyMs: { ...listOf(number), description: 'How long the last connections to it took, the latest last.' },
    },
    ['downUntil', 'lastSeenAt', 'lastFailure'],
  ),
  Pac: object(
    {
      state: { type: 'string', enum: ['none', 'system-proxies', 'script', 'unreachable'] },
      source: text,
      ageMs: number,
      lastError: text,
    },
    ['source', 'ageMs', 'lastError'],
  ),
  Rule: object(
    {
      name: text,
      kind: {
        type: 'string',
        enum: ['access', 'report', 'route'],
        description: 'It decides about access; or would, and is only reported; or chooses routes.',
      },
      verdict: { type: 'string', enum: ['allow', 'deny'], description: 'Absent where it chooses routes.' },
      hits: integer,
      lastHitAt: time,
    },
    ['verdict', 'lastHitAt'],
  ),
  Account: object(
    {
      account: { type: 'string', description: 'Name in the configuration, where it is no proxy that is listed.' },
      upstream: text,
      user: text,
      source: { type: 'string', description: 'Where the secret comes from.' },
      schemes: listOf(text),
      isRejected: { type: 'boolean', description: 'The proxy has rejected the secret; it is not sent again.' },
      ticketsUntil: time,
      problem: { type: 'string', description: 'Why nothing would be sent.' },
    },
    ['account', 'upstream', 'user', 'source', 'schemes', 'isRejected', 'ticketsUntil', 'problem'],
  ),
  StepPart: object({
    what: { type: 'string', enum: ['pac', 'dns', 'dial', 'dial-failed', 'tls', 'route-failed', 'first-byte'] },
    about: { type: 'string', description: 'A name, an address or a route.' },
    startMs: { type: 'number', description: 'Since the head of the request was read.' },
    ms: number,
  }),
  Total: object(
    {
      key: { type: 'string', description: 'Absent: all that found no place among the keys.' },
      requests: { type: 'integer', description: 'That have ended.' },
      failures: integer,
      bytesUp: integer,
      bytesDown: integer,
    },
    ['key'],
  ),
  Setting: object({ path: text, value: text, origin: text }),
};

import * as z from 'zod';
import { adminSettings } from '../admin/options.ts';
import {
  clientTimeouts,
  completeListen,
  isExposed,
  type Listen,
  listenAddress,
  listenSchema,
} from '../clients/options.ts';
import { workersSchema } from '../cluster/options.ts';
import type { Timeouts } from '../contracts/timeouts.ts';
import { credentialsSchema } from '../credentials/options.ts';
import { clientsSchema } from '../identity/options.ts';
import { limitsSchema } from '../limits/options.ts';
import { logSchema } from '../observe/options.ts';
import { accessSchema, guardSchema } from '../policy/options.ts';
import { bodyMsOf, relayKind, relayTimeouts } from '../relay/options.ts';
import { duration } from '../settings/duration-setting.ts';
import { upstreamsSchema, upstreamTimeouts } from '../upstream/options.ts';
import { completeAdmin } from './admin.ts';
import { completeRoutes, readRoutes } from './routes.ts';

/** A token (RFC 9110 §5.6.2): it stands bare in `Via` and `Proxy-Status`. */
const NAME = /^[A-Za-z][\w.-]{0,62}$/;

const waits = z.strictObject({
  ...upstreamTimeouts,
  ...clientTimeouts,
  ...relayTimeouts,
  drainDelay: duration('may-be-0')
    .prefault('0s')
    .describe(
      'After SIGINT, SIGTERM or `POST /api/drain`, before the drain: how long new connections are still accepted and served while `/readyz` answers 503, so that a load balancer notices and sends no more. Longer than its health check takes; 0 without a load balancer. A second signal ends it. The library has none.',
    ),
  drain: duration('may-be-0')
    .prefault('30s')
    .describe('After SIGINT or SIGTERM: how long open requests may go on before they are closed.'),
});
type Waits = z.output<typeof waits>;
type InMs<T extends object> = { readonly [Name in keyof T & string as `${Name}Ms`]: T[Name] };

/** In a file a value has its unit; in the program its name has. */
const timeouts = waits.transform((written): Timeouts => inMs({ ...written, body: bodyMsOf(written) }));

function inMs(written: Waits): InMs<Waits> {
  return Object.fromEntries(Object.entries(written).map(([name, ms]) => [`${name}Ms`, ms])) as InMs<Waits>;
}

/** Every setting, with its default and its meaning. */
export const configSchema = z
  .strictObject({
    listen: z
      .union([
        listenSchema,
        z.array(listenSchema).min(1, 'names no listener; write for example [localhost:3128]').readonly(),
      ])
      .prefault('localhost')
      .describe(
        'Where to listen: `HOST`, `HOST:PORT`, `[V6]:PORT`, `http://HOST:PORT`, `https://HOST:PORT` (TLS, with `tls`), `socks5://HOST:PORT` (SOCKS4, 4a and 5), `any://HOST:PORT` (HTTP and SOCKS on one port) or `unix:/PATH`, or an object with `url` and settings; one or a list. `localhost` is 127.0.0.1 and ::1, of which one may be missing. `docker`, `podman` and `wsl`, with or without `:PORT`, are the addresses that this machine has on such bridges, also on those that come later (with several `workers`, at a reload): only their subnets may connect, every container can then use your login at upstream proxies, and loopback, link-local and metadata addresses and this machine’s own are denied to them unless `guard.deny` says otherwise.',
      ),
    port: z
      .number()
      .int()
      .min(0)
      .max(65_535)
      .prefault(3128)
      .describe('Port of the listeners that name none; 0 picks a free one.'),
    open: z
      .boolean()
      .prefault(false)
      .describe(
        'Lets everyone who reaches an exposed listener use the proxy, without `clients.users` or `clients.allow`.',
      ),
    clients: clientsSchema.prefault({}).describe('Who may use the proxy.'),
    access: accessSchema
      .prefault([])
      .describe(
        'What clients may reach: `all`, or rules in order, of which the first that matches decides. Default: allow.',
      ),
    guard: guardSchema.prefault({}).describe('Which addresses are never dialled, judged on every resolved address.'),
    limits: limitsSchema.prefault({}).describe('How much clients may use: bandwidth, tunnels, requests and quotas.'),
    routes: readRoutes
      .prefault({})
      .describe(
        'How requests reach their targets: exceptions, rules, a PAC and upstream proxies, asked in this order.',
      ),
    upstreams: upstreamsSchema.prefault([]).describe('What is special about upstream proxies, by their host.'),
    credentials: credentialsSchema
      .prefault({})
      .describe('Accounts at upstream proxies, and which of them may get credentials.'),
    timeouts: timeouts.prefault({}).describe('How long anything may take. A bare number counts seconds.'),
    reload: z
      .enum(['watch', 'signal'])
      .prefault('watch')
      .describe(
        'When the command reads the configuration again: `watch`, when its file or a file of hosts has changed, and on SIGHUP; `signal`, on SIGHUP alone.',
      ),
    workers: workersSchema.prefault(1),
    relay: relayKind,
    decisions: z
      .enum(['repeat', 'each'])
      .default('repeat')
      .describe(
        'How the command decides about a CONNECT that is the same as one a moment ago, from the same client: `repeat`, as then, for a second at most and not beyond a reload, which costs far less; `each`, anew. Only where nothing but the request and the configuration decides: always anew with accounts, limits, rules with times, a PAC and upstream proxies, and in the library.',
      ),
    admin: z
      .union([z.boolean(), adminSettings(listenAddress)])
      .prefault(true)
      .describe(
        'The dashboard, the API and the metrics; an address stands in `listen`: `admin: { listen: localhost:3129 }`. `false`: none.',
      ),
    log: logSchema.prefault({}).describe('The access log: one record for every finished request.'),
    name: z
      .string()
      .regex(NAME, 'is not a valid name for Via; write letters, digits, dots and dashes, beginning with a letter')
      .prefault('viaduct')
      .describe('Our name in `Via` and `Proxy-Status`.'),
    quiet: z.boolean().prefault(false).describe('Print nothing but errors on standard error.'),
    verbose: z
      .boolean()
      .prefault(false)
      .describe(
        'Print a stack trace when the command fails. Only as a flag or variable: a failure may be that of the file.',
      ),
  })
  .transform(({ listen, port, admin, ...rest }) => {
    const written = 'kind' in listen ? [listen] : listen;
    const complete: readonly Listen[] = written.flatMap((one) => completeListen(one, port));
    const routes = completeRoutes(rest.routes, complete.some(isExposed) ? 'exposed' : 'local');
    return { ...rest, routes, listen: complete, admin: completeAdmin(admin, complete) };
  });

/** A complete configuration: every default resolved, deeply frozen. */
export type Config = Readonly<z.output<typeof configSchema>>;

/** A configuration as a program writes it: everything may be left out. `workers` is for the command alone. */
export type ConfigInput = Readonly<Omit<z.input<typeof configSchema>, 'workers'>>;

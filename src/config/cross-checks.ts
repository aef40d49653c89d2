import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Route } from '../core/stages.ts';
import { problemOfSecretFile } from '../credentials/secret-file.ts';
import { loadUsers, UsersError } from '../identity/htpasswd.ts';
import { isExposed, type Listen } from '../listeners/options.ts';
import { formatAuthority, hostKey } from '../protocol/authority.ts';
import { parseIp } from '../protocol/ip-address.ts';
import { formatHop } from '../protocol/proxy-url.ts';
import { relayProblem } from '../relay/choose.ts';
import { TrustError, tlsSettings } from '../upstream/trust.ts';
import { suggestion } from './nearest.ts';
import type { Path, Problem } from './problems.ts';
import { isPacPath, PAC_WORDS } from './routes.ts';
import type { Config } from './schema.ts';

/** Who says which users there are: `clients.users`, or an `authenticate` hook too. */
export type KnownBy = 'configuration' | 'program';

/** What no setting can know of another: problems that only the whole configuration has. */
export function crossCheck(config: Config, knownBy: KnownBy = 'configuration'): Problem[] {
  const users = knownUsers(config);
  const always = [
    ...listenedTwice(config),
    ...users.problems,
    ...rulesOfOneName(config),
    ...pacMissing(config),
    ...secretFiles(config),
    ...unknownAccounts(config),
    ...untrusted(config),
    ...throughOurselves(config),
    ...relayMissing(config),
  ];
  return knownBy === 'program'
    ? always
    : [...exposedToEveryone(config), ...always, ...unknownUsers(config, users.names)];
}

function relayMissing({ relay }: Config): Problem[] {
  const why = relayProblem(relay);
  return why === undefined ? [] : [{ path: ['relay'], message: `there is no native relay: ${why}` }];
}

/** An open proxy is found within hours, and used for what its owner answers for. */
function exposedToEveryone({ listen, open, clients }: Config): Problem[] {
  if (open || clients.users !== undefined || clients.allow !== undefined) return [];
  const exposed = listen.find(isExposed);
  if (exposed === undefined || exposed.kind !== 'tcp') return [];
  const mend =
    'add `clients: { users: users.htpasswd }` (--auth) or `clients: { allow: [10.0.0.0/8] }` (--allow), or say --open';
  return [{ path: ['listen'], message: `everyone who reaches ${exposed.host} could use this proxy: ${mend}` }];
}

function listenedTwice({ listen }: Config): Problem[] {
  const seen = new Set<string>();
  for (const one of listen) {
    if (one.kind === 'tcp' && one.port === 0) continue;
    const address = one.kind === 'unix' ? one.path : `${one.host} port ${one.port}`;
    if (seen.has(address)) return [{ path: ['listen'], message: `names ${address} twice; keep one` }];
    seen.add(address);
  }
  return [];
}

function knownUsers({ clients }: Config): { names: ReadonlySet<string> | undefined; problems: Problem[] } {
  const { users } = clients;
  if (users === undefined) return { names: undefined, problems: [] };
  try {
    return { names: new Set(loadUsers(users).keys()), problems: [] };
  } catch (error) {
    if (!(error instanceof UsersError)) throw error;
    const path = ['clients', 'users', ...(error.user === undefined ? [] : [error.user])];
    return { names: undefined, problems: [{ path, message: error.message }] };
  }
}

/** Files of authorities that cannot be read: with them, the proxies that they certify could not be reached. */
function untrusted({ upstreams }: Config): Problem[] {
  try {
    tlsSettings(upstreams);
    return [];
  } catch (error) {
    if (!(error instanceof TrustError)) throw error;
    return [{ path: ['upstreams', error.at, 'ca'], message: error.message }];
  }
}

/** A rule about nobody never matches, and a deny rule that never matches is a hole. */
function unknownUsers({ access, limits, clients }: Config, names: ReadonlySet<string> | undefined): Problem[] {
  const mentioned: { path: Path; users: readonly string[] }[] = [
    ...access.flatMap((rule, at) => [
      { path: ['access', at, 'allow', 'users'], users: rule.allow?.users ?? [] },
      { path: ['access', at, 'deny', 'users'], users: rule.deny?.users ?? [] },
    ]),
    ...limits.bandwidth.map((limit, at) => ({
      path: ['limits', 'bandwidth', at, 'match', 'users'],
      users: limit.match?.users ?? [],
    })),
  ];
  if (clients.users === undefined) {
    const first = mentioned.find(({ users }) => users.length > 0);
    return first === undefined ? [] : [{ path: first.path, message: 'nobody has to authenticate; set clients.users' }];
  }
  if (names === undefined) return [];
  return mentioned.flatMap(({ path, users }) =>
    users.flatMap((user, at) =>
      names.has(user) ? [] : [{ path: [...path, at], message: `clients.users has no ${JSON.stringify(user)}` }],
    ),
  );
}

/** The log tells rules apart by their names. */
function rulesOfOneName({ access }: Config): Problem[] {
  const seen = new Set<string>();
  return access.flatMap(({ name }, at) => {
    if (name === undefined) return [];
    const isSecond = seen.has(name);
    seen.add(name);
    return isSecond ? [{ path: ['access', at, 'name'], message: `another rule is named ${JSON.stringify(name)}` }] : [];
  });
}

/** A PAC on disk is there or it is misspelt; one on the network may come later. */
function pacMissing({ routes: { pac } }: Config): Problem[] {
  const path = ['routes', 'pac'];
  const isUrl = /^file:/i.test(pac);
  if (!isUrl && !isPacPath(pac)) return [];
  try {
    const file = isUrl ? fileURLToPath(pac) : pac;
    return existsSync(file) ? [] : [{ path, message: `there is no file ${file}${suggestion(file, PAC_WORDS)}` }];
  } catch {
    return [{ path, message: `${JSON.stringify(pac)} names no file of this machine; write file:///PATH` }];
  }
}

/** A request that is sent to ourselves comes back until the loop is noticed. Of a chain, only its first proxy is dialled by us. */
function throughOurselves({ routes, listen }: Config): Problem[] {
  const ways: { path: Path; route: Route }[] = [
    ...routes.rules.flatMap(({ via }, at) => via.map((route) => ({ path: ['routes', 'rules', at, 'via'], route }))),
    ...routes.proxy.map((route) => ({ path: ['routes', 'proxy'], route })),
  ];
  return ways.flatMap(({ path, route }) => {
    if (route.via === 'direct') return [];
    const [hop] = route.hops;
    const own = listen.find((one) => leadsTo(one, hop.proxy.host, hop.proxy.port));
    if (own?.kind !== 'tcp') return [];
    const message = `${formatHop(hop)} is this proxy itself, which listens on ${formatAuthority(own)}; name another`;
    return [{ path, message }];
  });
}

/** Only what is certain without a resolver; `policy/own-addresses.ts` judges every address that is dialled. */
function leadsTo(listen: Listen, host: string, port: number): boolean {
  if (listen.kind !== 'tcp' || listen.port !== port) return false;
  const isLoopback = (name: string) => name === 'localhost' || name === '::1' || name.startsWith('127.');
  const isEvery = parseIp(listen.host)?.octets.every((octet) => octet === 0) === true;
  return (
    hostKey(listen.host) === hostKey(host) ||
    (host === 'localhost' && isLoopback(listen.host)) ||
    (isEvery && isLoopback(host))
  );
}

/** A secret that others can read is none any more; better said at start than at the first request. */
function secretFiles({ credentials }: Config): Problem[] {
  return Object.entries(credentials.accounts).flatMap(([name, { from }]) => {
    const problem = from?.kind === 'file' ? problemOfSecretFile(from.path) : undefined;
    if (from?.kind !== 'file' || problem === undefined) return [];
    return [{ path: ['credentials', name, 'from'], message: `${from.path} ${problem}` }];
  });
}

/** A proxy that should be told about an account which nobody has described would be told nothing, or of another. */
function unknownAccounts({ upstreams, credentials: { accounts } }: Config): Problem[] {
  return upstreams.flatMap(({ credentials: name }, at) => {
    if (name === undefined || Object.hasOwn(accounts, name)) return [];
    const message = `credentials has no account ${JSON.stringify(name)}${suggestion(name, Object.keys(accounts))}`;
    return [{ path: ['upstreams', at, 'credentials'], message }];
  });
}

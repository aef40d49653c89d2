import { isExposed, type Listen } from '../clients/options.ts';
import type { Route } from '../contracts/stages.ts';
import { problemOfToken } from '../credentials/admin-token.ts';
import { problemOfSecretFile } from '../credentials/secret-file.ts';
import { problemOfSecretVariable } from '../credentials/secret-text.ts';
import { problemOfSecret } from '../files/secret-of-origin.ts';
import { loadUsers, UsersError } from '../identity/htpasswd.ts';
import { sameUserProblem } from '../identity/same-user.ts';
import { formatAuthority, hostKey } from '../protocol/addresses/authority.ts';
import { parseIp } from '../protocol/addresses/ip-address.ts';
import { formatHop } from '../protocol/routes/proxy-url.ts';
import { relayProblem } from '../relay/choose-relay.ts';
import { TrustError, tlsSettings } from '../upstream/tls/trust.ts';
import { quoted, redact } from '../util/redact.ts';
import type { Config } from './config.ts';
import type { Environment } from './environment.ts';
import { checkExposure, checkListeners, hasOtherUsers, problemOfPem } from './listener-checks.ts';
import { suggestion } from './nearest.ts';
import { checkPaths } from './path-checks.ts';
import type { Path, Problem } from './problems.ts';

/** What a configuration is checked against besides itself. */
export interface CrossCheckContext {
  /** Where `from: env:NAME` is looked up. */
  readonly environment: Environment;
  /** The program whose options they are, and whether it knows users too, by an `authenticate` hook. `undefined`: the command. */
  readonly program?: { readonly hasAuthenticate: boolean } | undefined;
}

/** Problems between settings, which no setting has alone. */
export function crossCheck(config: Config, { environment, program }: CrossCheckContext): Problem[] {
  const users = loadKnownUsers(config);
  const always = [
    ...checkListeners(config),
    ...users.problems,
    ...checkDuplicateRuleNames(config),
    ...checkPaths(config),
    ...checkSecrets(config, environment),
    ...checkAccountReferences(config),
    ...checkCaFiles(config),
    ...checkSelfProxy(config),
    ...checkRelay(config),
    ...checkSameUser(config),
    ...checkAdmin(config, environment),
    ...checkStore(config, environment),
    ...checkLogSize(config),
  ];
  if (program?.hasAuthenticate === true) return always;
  const usedBy = program === undefined ? 'command' : 'program';
  return [...checkExposure(config, usedBy), ...always, ...checkUserReferences(config, users.names)];
}

function checkRelay({ relay }: Config): Problem[] {
  const why = relayProblem(relay);
  return why === undefined ? [] : [{ path: ['relay'], message: `there is no native relay: ${why}` }];
}

function checkSameUser({ clients }: Config): Problem[] {
  const why = clients.sameUser === true ? sameUserProblem() : undefined;
  return why === undefined
    ? []
    : [{ path: ['clients', 'sameUser'], message: `is not available: ${why}; use clients.users` }];
}

/** A person who reads the dashboard sees where everyone goes, and may end it. */
function checkAdmin({ admin, listen }: Config, environment: Environment): Problem[] {
  if (admin === undefined) return [];
  const problems: Problem[] = [];
  if (admin.listen.some(({ kind }) => kind !== 'tcp')) {
    problems.push({ path: ['admin', 'listen'], message: 'takes addresses alone; the control socket is always there' });
  }
  if (admin.listen.some(({ kind, protocol }) => kind === 'tcp' && protocol !== 'http')) {
    problems.push({ path: ['admin', 'listen'], message: 'takes HOST:PORT alone; `tls` makes it https' });
  }
  const exposed = admin.listen.find(isExposed);
  if (exposed?.kind === 'tcp' && (admin.token === undefined || admin.tls === undefined)) {
    const missing = [
      admin.token === undefined && '`token: env:NAME`',
      admin.tls === undefined && '`tls: { cert, key }`',
    ];
    const message = `others can reach ${exposed.host}: add ${missing.filter(Boolean).join(' and ')} to admin`;
    problems.push({ path: ['admin', 'listen'], message });
  }
  const own = admin.listen.find((one) => listen.some((other) => isSameAddress(one, other)));
  if (own?.kind === 'tcp') {
    problems.push({ path: ['admin', 'listen'], message: `the proxy itself listens on port ${own.port}; take another` });
  }
  const token = admin.token && problemOfToken(admin.token, environment);
  if (token !== undefined) problems.push({ path: ['admin', 'token'], message: token });
  for (const [key, path] of Object.entries(admin.tls ?? {})) {
    const problem = problemOfPem(path);
    if (problem !== undefined) problems.push({ path: ['admin', 'tls', key], message: problem });
  }
  return problems;
}

function checkStore({ limits }: Config, environment: Environment): Problem[] {
  const problems: Problem[] = [];
  for (const key of ['storePassword', 'storeSecret'] as const) {
    const origin = limits[key];
    const message = origin && problemOfSecret(origin, environment);
    if (message !== undefined) problems.push({ path: ['limits', key], message });
  }
  if (limits.storeCa !== undefined) {
    const message =
      limits.store?.isTls === true ? problemOfPem(limits.storeCa) : 'is for a `rediss:` store; leave it out';
    if (message !== undefined) problems.push({ path: ['limits', 'storeCa'], message });
  }
  return problems;
}

const isSameAddress = (one: Listen, other: Listen): boolean =>
  one.kind === 'tcp' && other.kind === 'tcp' && one.port !== 0 && one.port === other.port && one.host === other.host;

/** Not a part of the schema: the file of the log may be named by a flag. */
function checkLogSize({ log: { format, file, maxBytes } }: Config): Problem[] {
  if (maxBytes === undefined || file !== undefined || format === 'off') return [];
  const message = 'applies to a file, and standard output is none; set log.file (--log-file), or leave it out';
  return [{ path: ['log', 'maxBytes'], message }];
}

function loadKnownUsers({ clients }: Config): { names: ReadonlySet<string> | undefined; problems: Problem[] } {
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
function checkCaFiles({ upstreams }: Config): Problem[] {
  try {
    tlsSettings(upstreams);
    return [];
  } catch (error) {
    if (!(error instanceof TrustError)) throw error;
    return [{ path: ['upstreams', error.at, 'ca'], message: error.message }];
  }
}

/** A rule about a user that does not exist never matches, and a deny rule that never matches is a hole. */
function checkUserReferences(config: Config, names: ReadonlySet<string> | undefined): Problem[] {
  if (hasOtherUsers(config)) return [];
  const { access, limits, clients } = config;
  const mentioned: { path: Path; users: readonly string[] }[] = [];
  const add = (users: readonly string[] | undefined, ...path: Path) => {
    if (users !== undefined) mentioned.push({ path, users });
  };
  for (const [at, { allow, deny }] of access.entries()) {
    add(allow?.users, 'access', at, 'allow', 'users');
    add(deny?.users, 'access', at, 'deny', 'users');
  }
  for (const [at, { match }] of limits.bandwidth.entries())
    add(match?.users, 'limits', 'bandwidth', at, 'match', 'users');
  if (clients.users === undefined) {
    const first = mentioned.find(({ users }) => users.length > 0);
    return first === undefined ? [] : [{ path: first.path, message: 'clients do not authenticate; set clients.users' }];
  }
  if (names === undefined) return [];
  return mentioned.flatMap(({ path, users }) =>
    users.flatMap((user, at) =>
      names.has(user) ? [] : [{ path: [...path, at], message: `clients.users has no ${quoted(user)}` }],
    ),
  );
}

/** The log tells rules apart by their names. */
function checkDuplicateRuleNames({ access }: Config): Problem[] {
  const seen = new Set<string>();
  return access.flatMap(({ name }, at) => {
    if (name === undefined) return [];
    const isSecond = seen.has(name);
    seen.add(name);
    return isSecond ? [{ path: ['access', at, 'name'], message: `another rule is named ${quoted(name)}` }] : [];
  });
}

/** A request that is sent to ourselves comes back until the loop is noticed. Of a chain, only its first proxy is dialled by us. */
function checkSelfProxy({ routes, listen }: Config): Problem[] {
  const proxyRoutes: { path: Path; route: Route }[] = [
    ...routes.rules.flatMap(({ via }, at) => via.map((route) => ({ path: ['routes', 'rules', at, 'via'], route }))),
    ...routes.proxy.map((route) => ({ path: ['routes', 'proxy'], route })),
  ];
  return proxyRoutes.flatMap(({ path, route }) => {
    if (route.via === 'direct') return [];
    const [hop] = route.hops;
    const own = listen.find((one) => leadsTo(one, hop.proxy.host, hop.proxy.port));
    if (own?.kind !== 'tcp') return [];
    const message = `${formatHop(hop)} is this proxy itself, which listens on ${formatAuthority(own)}; name another`;
    return [{ path, message }];
  });
}

/** Only what is certain without a resolver; `policy/listen-addresses.ts` judges every address that is dialled. */
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

/**
 * A file that other users can read holds no secret any more, and a variable that is not set holds none. Reported at the
 * start: the first request would fail with advice to log in.
 */
function checkSecrets({ credentials }: Config, environment: Environment): Problem[] {
  return Object.entries(credentials.accounts).flatMap(([name, { from }]) => {
    const path = ['credentials', name, 'from'];
    if (from?.kind === 'file') {
      const problem = problemOfSecretFile(from.path);
      return problem === undefined ? [] : [{ path, message: `${redact(from.path)} ${problem}` }];
    }
    if (from?.kind !== 'env') return [];
    const problem = problemOfSecretVariable(environment[from.name]);
    return problem === undefined ? [] : [{ path, message: `the environment variable ${from.name} ${problem}` }];
  });
}

/** Without this check an upstream proxy would get no credentials, or those of another account. */
function checkAccountReferences({ upstreams, credentials: { accounts } }: Config): Problem[] {
  return upstreams.flatMap(({ credentials: name }, at) => {
    if (name === undefined || Object.hasOwn(accounts, name)) return [];
    const message = `credentials has no account ${quoted(name)}${suggestion(name, Object.keys(accounts))}`;
    return [{ path: ['upstreams', at, 'credentials'], message }];
  });
}

import { loadUsers, UsersError } from '../identity/htpasswd.ts';
import { isExposed } from '../listeners/options.ts';
import type { Path, Problem } from './problems.ts';
import type { Config } from './schema.ts';

/** Who says which users there are: `clients.users`, or an `authenticate` hook too. */
export type KnownBy = 'configuration' | 'program';

/** What no setting can know of another: problems that only the whole configuration has. */
export function crossCheck(config: Config, knownBy: KnownBy = 'configuration'): Problem[] {
  const users = knownUsers(config);
  if (knownBy === 'program') return [...listenedTwice(config), ...users.problems, ...rulesOfOneName(config)];
  return [
    ...exposedToEveryone(config),
    ...listenedTwice(config),
    ...users.problems,
    ...unknownUsers(config, users.names),
    ...rulesOfOneName(config),
  ];
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

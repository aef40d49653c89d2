import { askHook } from '../contracts/ask-hook.ts';
import { type ContextRequest, HookContext, type RequestContext } from '../contracts/context.ts';
import type { Authenticator, Challenge } from '../contracts/identity.ts';
import type { ClientCredentials } from '../contracts/request.ts';
import type { Principal } from '../contracts/stages.ts';
import { basicChallenge, type Credentials, readCredentials } from './basic.ts';

/** A request, the credentials that came with it, and two answers that are no user. */
export interface AuthenticateContext extends RequestContext {
  /** As the client has sent them; `undefined`: none, more than one field of them, or none that are well-formed Basic. */
  readonly credentials: Credentials | undefined;
  /** Of `credentials`; empty without them. */
  readonly username: string;
  readonly password: string;
  /** 407, with a realm and a sentence of the program's own. `null` is the same with those of the proxy. */
  requireLogin(how?: LoginDemandOptions): LoginDemand;
  /** The request goes on without a user. */
  anonymous(): Anonymous;
}

export interface LoginDemandOptions {
  /** What a browser shows above its form, in printable ASCII. Default: `viaduct`. */
  readonly realm?: string | undefined;
  /** What the client reads. */
  readonly message?: string | undefined;
}
export interface LoginDemand extends LoginDemandOptions {
  readonly login: 'required';
}
export interface Anonymous {
  readonly login: 'none';
}
export type AuthenticateResult = { readonly id: string } | LoginDemand | Anonymous | null | undefined;

/**
 * Who is the client? Called for every request, also for one without credentials; nothing is remembered. In SOCKS5 a login
 * comes before the request, which is of the same user then: `method` is `CONNECT` and `target` empty. Returns the user,
 * `ctx.anonymous()`, or `null` or `ctx.requireLogin()`: then the client gets 407. When it throws or returns anything else,
 * the client gets 500 `hook_failed`; when it throws a `ProxyError`, the response to that.
 */
export type AuthenticateHook = (context: AuthenticateContext) => AuthenticateResult | Promise<AuthenticateResult>;

export function hookAuthenticator(authenticate: AuthenticateHook): Authenticator {
  /** By the login itself, not by what it says: a password that is good for one use would be wrong the second time. */
  const loggedIn = new WeakMap<ClientCredentials, Principal>();

  function ask(request: ContextRequest): Principal | Challenge | Promise<Principal | Challenge> {
    const read = readCredentials(request.credentials);
    const credentials = 'fault' in read ? undefined : read;
    const reason = 'fault' in read ? read.fault : 'wrong user name or password';
    const context = new LoginContext(request, credentials);
    return askHook(
      'authenticate',
      () => authenticate(context),
      (answer) => conclude(answer, reason, credentials),
      credentials?.password,
    );
  }

  async function logIn(request: ContextRequest, login: ClientCredentials): Promise<Principal | Challenge> {
    const found = await ask(request);
    if (!('challenge' in found)) loggedIn.set(login, found);
    return found;
  }

  return {
    scheme: 'basic',
    requires: () => 'optional',
    identify({ request }) {
      const { credentials } = request;
      if (credentials?.kind !== 'password') return ask(request);
      return loggedIn.get(credentials) ?? logIn(request, credentials);
    },
  };
}

class LoginContext extends HookContext implements AuthenticateContext {
  readonly #credentials: Credentials | undefined;

  constructor(request: ContextRequest, credentials: Credentials | undefined) {
    super(request, undefined);
    this.#credentials = credentials;
  }

  /** No property, so that `console.log` of a context prints no password. */
  get credentials(): Credentials | undefined {
    return this.#credentials;
  }

  get username(): string {
    return this.#credentials?.username ?? '';
  }

  get password(): string {
    return this.#credentials?.password ?? '';
  }

  get requireLogin(): (how?: LoginDemandOptions) => LoginDemand {
    return requireLogin;
  }

  get anonymous(): () => Anonymous {
    return anonymous;
  }
}

const requireLogin = ({ realm, message }: LoginDemandOptions = {}): LoginDemand => ({
  login: 'required',
  realm,
  message,
});
const anonymous = (): Anonymous => NO_LOGIN;
const NO_LOGIN: Anonymous = { login: 'none' };
const NO_USER: Principal = { name: '', scheme: 'none' };
const PRINTABLE = /^[\x20-\x7e]*$/;

/** A program may be written in JavaScript, so the type of its answer is checked. */
function conclude(
  answer: AuthenticateResult,
  reason: string,
  credentials: Credentials | undefined,
): Principal | Challenge {
  if (answer === null || answer === undefined) return { challenge: basicChallenge(), reason };
  if (typeof answer !== 'object') throw new TypeError(NO_ANSWER);
  if ('id' in answer && typeof answer.id === 'string' && answer.id !== '') {
    return { name: answer.id, scheme: credentials === undefined ? 'program' : 'basic' };
  }
  if ('login' in answer && answer.login === 'none') return NO_USER;
  if ('login' in answer && answer.login === 'required') {
    const { realm = 'viaduct', message } = answer;
    if (!PRINTABLE.test(realm)) throw new TypeError('the realm of a login holds more than printable ASCII');
    return { challenge: basicChallenge(realm), reason, clientMessage: message };
  }
  throw new TypeError(NO_ANSWER);
}

const NO_ANSWER = 'returned none of { id }, null, ctx.requireLogin() and ctx.anonymous()';

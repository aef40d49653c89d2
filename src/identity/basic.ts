import type { Authenticator, Challenge } from '../contracts/identity.ts';
import type { ClientCredentials, ProxyRequest } from '../contracts/request.ts';
import type { Principal } from '../contracts/stages.ts';

export interface Credentials {
  readonly username: string;
  readonly password: string;
}
/** What a verifier gets of the request: its client, and the signal that aborts when the client goes away. */
export type VerifyContext = Pick<ProxyRequest, 'client' | 'signal'>;
/** Resolves to the user, or to `null` when the password is wrong. */
export type Verify = (
  credentials: Credentials,
  context: VerifyContext,
) => { readonly id: string } | null | Promise<{ readonly id: string } | null>;

/** `charset` has clients encode as UTF-8 (RFC 7617 §2.1); without it they may choose. The realm holds printable ASCII. */
export const basicChallenge = (realm = 'viaduct'): string =>
  `Basic realm="${realm.replace(/["\\]/g, '\\$&')}", charset="UTF-8"`;
const CHALLENGE = basicChallenge();
const challenge = (reason: string): Challenge => ({ challenge: CHALLENGE, reason });

/** Authentication of clients with a user name and a password: Basic (RFC 7617), or fields of another protocol. */
export function basicAuthenticator(verify: Verify): Authenticator {
  return {
    scheme: 'basic',
    identify({ request }): Principal | Challenge | Promise<Principal | Challenge> {
      const credentials = readCredentials(request.credentials, parseBasic);
      if ('fault' in credentials) return challenge(credentials.fault);
      if (credentials.username === '') return challenge(ILL_FORMED.password);
      const result = verify(credentials, request);
      return result instanceof Promise ? result.then(conclude) : conclude(result);
    },
  };
}

const ILL_FORMED = {
  authorization: 'not well-formed Basic credentials',
  password: 'not a well-formed user name and password',
} as const satisfies Record<ClientCredentials['kind'], string>;

/** What a client has sent, or in plain words why that is nothing to go by. */
export function readCredentials(
  sent: ClientCredentials | undefined,
  parse: (value: string) => Credentials | undefined = parseUserPass,
): Credentials | { readonly fault: string } {
  if (sent === undefined) return { fault: 'no credentials' };
  if (sent.kind === 'password') return readFields(sent.username, sent.password.reveal());
  const [value = '', ...more] = sent.values;
  // Of two fields one proxy may use the first and the next proxy the second (RFC 9110 §5.3).
  if (more.length > 0) return { fault: 'more than one Proxy-Authorization' };
  return parse(value) ?? { fault: ILL_FORMED.authorization };
}

/** Held to the same rules as what Basic carries. */
const readFields = (username: string, password: string): Credentials | { readonly fault: string } =>
  CONTROL.test(username) || CONTROL.test(password) ? { fault: ILL_FORMED.password } : { username, password };

const conclude = (user: { readonly id: string } | null): Principal | Challenge =>
  user ? { name: user.id, scheme: 'basic' } : challenge('wrong user name or password');

const SCHEME = 'basic';
const SPACE = 0x20;
const TOKEN68 = /^[a-z0-9+/]*={0,2}$/i;
const CONTROL = /[\0-\x1f\x7f]/;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** As `parseUserPass`, with a name that is not empty. */
export function parseBasic(value: string): Credentials | undefined {
  const credentials = parseUserPass(value);
  return credentials?.username === '' ? undefined : credentials;
}

/**
 * `Basic <base64 of name:password>`, strictly; `undefined` for anything else. Takes time in
 * proportion to the field, whose length an unauthenticated client chooses: a single pattern for all of it, with two runs
 * of blanks that match the same blanks, took seconds for a head full of blanks.
 */
function parseUserPass(value: string): Credentials | undefined {
  const encoded = encodedIn(value);
  if (encoded === undefined || !TOKEN68.test(encoded)) return undefined;
  const bytes = Buffer.from(encoded, 'base64');
  // Without padding, or with bits after the last byte that are not 0: other encodings of the same bytes (RFC 4648 §3.5).
  if (bytes.toString('base64') !== encoded) return undefined;
  const text = decoded(bytes);
  // Forbidden by RFC 7617 §2, and a NUL ends a password for some hash functions: `secret\0x` would pass as `secret`.
  if (text === undefined || CONTROL.test(text)) return undefined;
  const colon = text.indexOf(':');
  return colon >= 0 ? { username: text.slice(0, colon), password: text.slice(colon + 1) } : undefined;
}

/** What follows the scheme, without the blanks around it (RFC 9110 §11.4: at least one before it, and no tabs). */
function encodedIn(value: string): string | undefined {
  if (value.slice(0, SCHEME.length).toLowerCase() !== SCHEME) return undefined;
  let from = SCHEME.length;
  while (value.charCodeAt(from) === SPACE) from++;
  let until = value.length;
  while (until > from && value.charCodeAt(until - 1) === SPACE) until--;
  return from === SCHEME.length ? undefined : value.slice(from, until);
}

function decoded(bytes: Buffer): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

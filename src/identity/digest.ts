import { timingSafeEqual } from 'node:crypto';
import type { Authenticator, Challenge, IdentifiableRequest } from '../contracts/identity.ts';
import type { Principal } from '../contracts/stages.ts';
import { clientKeyOf } from '../protocol/addresses/client-key.ts';
import { parseAuthParams } from '../protocol/http-auth/challenge.ts';
import { responseOfKey } from '../protocol/http-auth/digest-response.ts';
import { type ClientDigestHash, DIGEST_HASHES, type DigestKeys } from './digest-keys.ts';
import type { DigestNonces, NonceOwner } from './digest-nonces.ts';
import type { Logins } from './logins.ts';
import type { NonceUse } from './nonce-counter.ts';
import type { Users } from './users.ts';

export interface DigestDeps {
  readonly users: Users;
  readonly realm: string;
  readonly nonces: DigestNonces;
  readonly logins: Logins;
  /** Passwords themselves, as Basic and SOCKS carry them. */
  readonly passwords: Authenticator;
}

/** The realm of the Digest lines of these users; `undefined`: there are none, so that Digest cannot be offered. */
export function digestRealm(users: Users): string | undefined {
  for (const { digest } of users.values()) if (digest !== undefined) return digest.realm;
  return undefined;
}

/**
 * Digest (RFC 7616, `qop=auth`) beside Basic. A user without a Digest line is offered Basic alone, once it has named
 * itself; half of the names that do not exist are too, so that this does not show which ones do.
 */
export function digestAuthenticator(deps: DigestDeps): Authenticator {
  const { users, realm, nonces, logins, passwords } = deps;
  const known = [...users.values()].flatMap(({ digest }) => [...(digest?.keys.keys() ?? [])]);
  const offered = DIGEST_HASHES.filter((hash) => known.includes(hash));

  /** What is offered; `basic` is the answer of the authenticator for passwords. */
  function offer(
    client: string,
    basic: Challenge,
    reason: string | undefined,
    stale: 'stale' | 'new' = 'new',
  ): Challenge {
    const [first, ...others] = offered.map((hash) => challengeText(realm, nonces.issue(client), hash, stale));
    if (first === undefined) return { ...basic, ...(reason === undefined ? {} : { reason }) };
    return {
      challenge: first,
      further: [...others, basic.challenge],
      ...(reason === undefined ? {} : { reason }),
    };
  }

  const offerTo = ({ client, user: name }: NonceOwner, basic: Challenge, reason: string): Challenge => {
    const user = users.get(name);
    const knowsDigest = user === undefined ? nonces.coin(name) : user.digest !== undefined;
    return knowsDigest ? offer(client, basic, reason) : { challenge: basic.challenge, reason };
  };

  function identifyDigest(
    value: string,
    { request }: IdentifiableRequest,
    basic: Challenge,
  ): Principal | Challenge | Promise<Principal | Challenge> {
    const client = clientKeyOf(request.client.address);
    const sent = readCredentials(value);
    if (sent === undefined) return offer(client, basic, 'not well-formed Digest credentials');
    if (sent.realm !== realm) return offer(client, basic, 'Digest credentials for another realm');
    if (!isFor(sent.uri, request.requestTarget)) return offer(client, basic, 'Digest credentials for another request');
    const { username: name, nonce } = sent;
    const owner: NonceOwner = { client, user: name };
    const isRight = (): boolean => isRightResponse(sent, users.get(name)?.digest, request.method);
    const accept = (use: NonceUse): Principal | Challenge =>
      use === 'fresh' ? { name, scheme: 'digest' } : offer(client, basic, 'a nonce that is used up', 'stale');
    const conclude = (right: boolean): Principal | Challenge | Promise<Principal | Challenge> => {
      if (!right) return offerTo(owner, basic, 'wrong user name or password');
      const use = nonces.use(nonce, sent.count, owner);
      return use instanceof Promise ? use.then(accept) : accept(use);
    };
    // Guesses wait for their turn, as those of Basic do. Who has used this nonce with the right password goes on with it.
    if (nonces.isKnown(nonce, owner) && isRight()) return conclude(true);
    return logins.attempt({ client: request.client, user: name, signal: request.signal }, isRight).then(conclude);
  }

  return {
    scheme: 'digest, basic',
    identify(from) {
      const { credentials } = from.request;
      const digest =
        credentials?.kind === 'authorization' && credentials.values.length === 1 ? credentials.values[0] : '';
      if (digest !== undefined && /^digest /i.test(digest)) {
        // What Basic asks for: without credentials it compares nothing.
        const basic = passwords.identify({ request: { ...from.request, credentials: undefined } });
        if (basic instanceof Promise || !('challenge' in basic)) return basic;
        return identifyDigest(digest, from, basic);
      }
      const found = passwords.identify(from);
      const extend = (result: Principal | Challenge): Principal | Challenge =>
        'challenge' in result ? offer(clientKeyOf(from.request.client.address), result, result.reason) : result;
      return found instanceof Promise ? found.then(extend) : extend(found);
    },
  };
}

/** RFC 7616 §3.3. `charset` has clients encode names and passwords as UTF-8. */
const challengeText = (realm: string, nonce: string, hash: ClientDigestHash, stale: 'stale' | 'new'): string =>
  `Digest realm="${realm}", qop="auth", algorithm=${hash}, nonce="${nonce}", charset=UTF-8${stale === 'stale' ? ', stale=true' : ''}`;

interface SentDigest {
  readonly username: string;
  readonly realm: string;
  readonly nonce: string;
  readonly uri: string;
  readonly hash: ClientDigestHash;
  readonly response: string;
  readonly nc: string;
  readonly count: number;
  readonly cnonce: string;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** RFC 7616 §3.4. Without `qop`, as before RFC 2617, a response could be used again for as long as its nonce lives. */
function readCredentials(value: string): SentDigest | undefined {
  const params = parseAuthParams(value.slice('digest '.length));
  const get = (name: string): string => params.get(name) ?? '';
  const hash = DIGEST_HASHES.find((known) => known === (params.get('algorithm') ?? 'MD5').toUpperCase());
  const [nc, response, cnonce] = [get('nc'), get('response').toLowerCase(), get('cnonce')];
  const isComplete = /^[0-9a-f]{8}$/i.test(nc) && /^[0-9a-f]+$/.test(response) && cnonce !== '';
  if (hash === undefined || get('qop') !== 'auth' || !isComplete || get('userhash').toLowerCase() === 'true')
    return undefined;
  const username = decoded(get('username'));
  if (username === undefined || username === '') return undefined;
  const count = Number.parseInt(nc, 16);
  return { username, realm: get('realm'), nonce: get('nonce'), uri: get('uri'), hash, response, nc, count, cnonce };
}

/** One character of a field is one octet. */
function decoded(octets: string): string | undefined {
  try {
    return utf8.decode(Buffer.from(octets, 'latin1'));
  } catch {
    return undefined;
  }
}

/**
 * Whether `uri` names what is asked for. For a plain request many clients, curl among them, sign the path alone: that of
 * the URL, since they know what the origin will be asked.
 */
function isFor(uri: string, requestTarget: string): boolean {
  if (uri === requestTarget) return true;
  const authority = requestTarget.indexOf('://') + 3;
  if (authority < 3) return false;
  const path = requestTarget.slice(authority).replace(/^[^/?]*/, '');
  return uri === path || (path === '' && uri === '/');
}

function isRightResponse(sent: SentDigest, digest: DigestKeys | undefined, method: string): boolean {
  const key = digest?.keys.get(sent.hash);
  const { nonce, nc, cnonce, uri, hash } = sent;
  // A name that does not exist costs the same.
  const expected = responseOfKey(hash, key?.reveal() ?? '', { nonce, nc, cnonce, uri, method });
  const [one, other] = [Buffer.from(expected, 'latin1'), Buffer.from(sent.response, 'latin1')];
  return one.length === other.length && timingSafeEqual(one, other) && key !== undefined;
}

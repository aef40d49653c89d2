import type { Authenticator, Challenge } from '../core/contracts.ts';
import type { Principal } from '../core/stages.ts';
import { valuesOf } from '../protocol/header-list.ts';

export interface Credentials {
  readonly username: string;
  readonly password: string;
}
/** Says who somebody is, or `null` when the password is not theirs. */
export type Verify = (
  credentials: Credentials,
) => { readonly id: string } | null | Promise<{ readonly id: string } | null>;

/** `charset` tells clients to encode as UTF-8 (RFC 7617 §2.1); without it they may choose. */
const CHALLENGE = 'Basic realm="viaduct", charset="UTF-8"';
const challenge = (reason: string): Challenge => ({ challenge: CHALLENGE, reason });

/** Basic authentication of clients (RFC 7617), whoever knows the passwords. */
export function basicAuthenticator(verify: Verify): Authenticator {
  return {
    scheme: 'basic',
    identify({ request }): Principal | Challenge | Promise<Principal | Challenge> {
      const [value, ...more] = valuesOf(request.headers, 'proxy-authorization');
      if (value === undefined) return challenge('no credentials');
      // Whichever of two a proxy takes, the next one may take the other (RFC 9110 §5.3).
      if (more.length > 0) return challenge('more than one Proxy-Authorization');
      const credentials = parseBasic(value);
      if (!credentials) return challenge('not well-formed Basic credentials');
      const answer = verify(credentials);
      return answer instanceof Promise ? answer.then(conclude) : conclude(answer);
    },
  };
}

const conclude = (user: { readonly id: string } | null): Principal | Challenge =>
  user ? { name: user.id, scheme: 'basic' } : challenge('wrong user name or password');

const BASIC = /^basic +((?:[a-z0-9+/]{4})*(?:[a-z0-9+/]{2}==|[a-z0-9+/]{3}=)?) *$/i;
const CONTROL = /[\0-\x1f\x7f]/;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** `Basic <base64 of name:password>`, strictly; `undefined` for anything else. A name must not be empty. */
export function parseBasic(value: string): Credentials | undefined {
  const encoded = BASIC.exec(value)?.[1];
  if (encoded === undefined) return undefined;
  const bytes = Buffer.from(encoded, 'base64');
  // Bits behind the last byte that are not 0: several texts for the same bytes, of which only one is right.
  if (bytes.toString('base64') !== encoded) return undefined;
  const text = decoded(bytes);
  // Forbidden by RFC 7617 §2, and a NUL ends a password for some hash functions: `secret\0x` would pass as `secret`.
  if (text === undefined || CONTROL.test(text)) return undefined;
  const colon = text.indexOf(':');
  return colon > 0 ? { username: text.slice(0, colon), password: text.slice(colon + 1) } : undefined;
}

function decoded(bytes: Buffer): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

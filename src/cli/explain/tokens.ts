import { describeSpnego } from '../../protocol/describe-spnego.ts';
import { type Challenge, parseAuthParams, parseChallenges } from '../../protocol/http-auth/challenge.ts';
import { describeNtlm, type TokenField } from '../../protocol/ntlm/describe-ntlm.ts';
import { readNegotiateToken } from '../../protocol/spnego.ts';
import { linesOf, MASK } from './mask.ts';

/** Credentials or a challenge in a field, part by part; what another person could log in with is masked. */
export interface DecodedToken {
  /** Name of the field, as it stood there. */
  readonly field: string;
  /** `NTLM`, `Negotiate`, `Digest`, `Basic`; empty where the field names none. */
  readonly scheme: string;
  readonly parts: readonly TokenField[];
}

const FIELDS = /^(proxy-authorization|proxy-authenticate|proxy-authentication-info):(.*)$/i;
/** Parameters of Digest that are made from the password, or that the next request is made from. */
const SECRETS: ReadonlySet<string> = new Set(['response', 'cnonce', 'rspauth', 'nextnonce']);
const WORDS: Readonly<Record<string, string>> = {
  ntlm: 'NTLM',
  negotiate: 'Negotiate',
  digest: 'Digest',
  basic: 'Basic',
};

/** The tokens and parameters in a head. It never throws: a token that cannot be read says so. */
export function tokensIn(head: string): readonly DecodedToken[] {
  return linesOf(head).flatMap((line): DecodedToken[] => {
    const [, field = '', value = ''] = FIELDS.exec(line) ?? [];
    if (field === '') return [];
    const challenges = parseChallenges([value]);
    const found = challenges.flatMap((challenge) => {
      const parts = decodeToken(challenge, field);
      return parts.length === 0 ? [] : [{ field, scheme: WORDS[challenge.scheme] ?? challenge.scheme, parts }];
    });
    if (found.length > 0 || challenges.length > 0) return found;
    const parts = paramsOf(parseAuthParams(value));
    return parts.length === 0 ? [] : [{ field, scheme: '', parts }];
  });
}

/** For a step: only where there is something to take apart. */
export function tokenPart(head: string): { readonly tokens?: readonly DecodedToken[] } {
  const tokens = tokensIn(head);
  return tokens.length === 0 ? {} : { tokens };
}

function decodeToken({ scheme, token68, params }: Challenge, field: string): readonly TokenField[] {
  if (token68 === undefined) return scheme === 'digest' ? paramsOf(params) : [];
  const token = Buffer.from(token68, 'base64');
  switch (scheme) {
    case 'ntlm':
      return readNegotiateToken(token)?.kind === 'response' ? describeSpnego(token) : describeNtlm(token);
    case 'negotiate':
      return describeSpnego(token);
    case 'basic':
      return /authorization/i.test(field) ? basic(token) : [];
    default:
      return [];
  }
}

const paramsOf = (params: ReadonlyMap<string, string>): TokenField[] =>
  [...params].map(([name, value]) => ({ name, value: SECRETS.has(name) ? MASK : value }));

function basic(pair: Buffer): TokenField[] {
  const text = pair.toString();
  const colon = text.indexOf(':');
  if (colon < 0) return [{ name: 'pair', value: MASK }];
  return [
    { name: 'user', value: text.slice(0, colon) },
    { name: 'password', value: MASK },
  ];
}

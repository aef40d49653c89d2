import { type Challenge, parseAuthParams } from './challenge.ts';
import {
  type DigestAccount,
  type DigestAlgorithm,
  type DigestHash,
  type DigestInput,
  type DigestQop,
  digestResponse,
  digestRspauth,
  digestUserHash,
  octets,
} from './digest-response.ts';

/** A supported Digest challenge (RFC 7616 §3.3). `domain` has no meaning for a proxy and is ignored. */
export interface DigestChallenge {
  readonly realm: string;
  readonly nonce: string;
  readonly opaque: string | undefined;
  readonly algorithm: DigestAlgorithm;
  /** As spelt in the challenge, to be sent back; `undefined`: it named none, which means MD5. */
  readonly algorithmName: string | undefined;
  readonly qop: DigestQop;
  /** Whether the proxy wants the user's name hashed. */
  readonly userhash: boolean;
  /** Whether the proxy supports `username*`. Older ones, Squid among them, support only `username`. */
  readonly knowsRfc7616: boolean;
  /** The password was right and only the nonce expired: it may be sent again. */
  readonly stale: boolean;
}

/** Strongest first. */
const STRENGTH: readonly DigestHash[] = ['SHA-512-256', 'SHA-256', 'MD5'];

/**
 * The strongest supported Digest challenge; of equally strong ones the first. A server lists its preference first
 * (RFC 7616 §3.7), but a stronger hash takes precedence over it.
 */
export function strongestDigest(challenges: readonly Challenge[]): DigestChallenge | undefined {
  const readable = challenges.flatMap((challenge) => readDigest(challenge) ?? []);
  return readable.toSorted((a, b) => STRENGTH.indexOf(a.algorithm.hash) - STRENGTH.indexOf(b.algorithm.hash))[0];
}

/** `undefined`: not Digest, without a nonce, or with an unsupported algorithm or qop. */
export function readDigest({ scheme, params }: Challenge): DigestChallenge | undefined {
  const nonce = params.get('nonce');
  const algorithmName = params.get('algorithm');
  const algorithm = readAlgorithm(algorithmName ?? 'MD5');
  const qop = chooseQop(params.get('qop'));
  if (scheme !== 'digest' || nonce === undefined || algorithm === undefined || qop === undefined) return undefined;
  const userhash = isTrue(params.get('userhash'));
  return {
    realm: params.get('realm') ?? '',
    nonce,
    opaque: params.get('opaque'),
    algorithm,
    algorithmName,
    qop,
    userhash,
    knowsRfc7616: params.has('userhash') || params.has('charset') || algorithm.hash !== 'MD5',
    stale: isTrue(params.get('stale')),
  };
}

function readAlgorithm(name: string): DigestAlgorithm | undefined {
  const plain = name.toUpperCase().replace(/-SESS$/, '');
  const hash = STRENGTH.find((known) => known === plain);
  return hash && { hash, session: plain.length < name.length ? 'session' : 'plain' };
}

/** `auth` where it is offered: `auth-int` needs the whole body before the first byte can be sent. */
function chooseQop(offered: string | undefined): DigestQop | undefined {
  const words = (offered ?? '')
    .toLowerCase()
    .split(/[ \t,]+/)
    .filter((word) => word !== '');
  if (words.length === 0) return 'none';
  return (['auth', 'auth-int'] as const).find((qop) => words.includes(qop));
}

const isTrue = (value: string | undefined): boolean => value?.toLowerCase() === 'true';

/** One use of a nonce. */
export interface DigestUse {
  readonly method: string;
  /** The request-target as it is sent. */
  readonly uri: string;
  /** The whole body; absent: not known yet, so that `auth-int` is impossible. That of a CONNECT is empty. */
  readonly body?: Uint8Array;
  /** Counts the requests with this nonce, from 1: a proxy refuses a number that it has seen (RFC 7616 §3.4). */
  readonly count: number;
  /** Random, and the same for as long as the nonce lives. */
  readonly cnonce: string;
}

/** The value of `Proxy-Authorization`; `undefined`: the challenge requires `auth-int`, and the body is not known. */
export function digestCredentials(
  challenge: DigestChallenge,
  use: DigestUse,
  account: DigestAccount,
): string | undefined {
  const input = inputOf(challenge, use);
  if (input === undefined) return undefined;
  const { realm, nonce, uri, cnonce, qop } = input;
  const userhash = challenge.userhash ? digestUserHash(challenge.algorithm.hash, account.user, realm) : undefined;
  // Quoted and unquoted exactly as RFC 7616 §3.4 has it: old servers take a quoted nc or qop for a wrong one.
  const params: readonly (string | undefined)[] = [
    userhash === undefined ? userName(account.user, challenge) : `username="${userhash}"`,
    `realm=${quoted(realm)}`,
    `nonce=${quoted(nonce)}`,
    `uri=${quoted(uri)}`,
    challenge.algorithmName === undefined ? undefined : `algorithm=${challenge.algorithmName}`,
    `response="${digestResponse(input, account)}"`,
    challenge.opaque === undefined ? undefined : `opaque=${quoted(challenge.opaque)}`,
    ...(qop === 'none' ? [] : [`qop=${qop}`, `nc=${input.nc}`]),
    // Without qop a cnonce is only sent where the session's key is made from it.
    qop === 'none' && input.algorithm.session === 'plain' ? undefined : `cnonce=${quoted(cnonce)}`,
    userhash === undefined ? undefined : 'userhash=true',
  ];
  return `Digest ${params.filter((param) => param !== undefined).join(', ')}`;
}

/** The content of `Proxy-Authentication-Info` (RFC 7616 §3.5). */
export interface DigestInfo {
  /** The nonce to use from now on, with the count from 1 again. */
  readonly nextNonce: string | undefined;
  /** Whether the proxy proved that it knows the password. `absent`: it sent no proof, or one that covers the body. */
  readonly proof: 'right' | 'wrong' | 'absent';
}

/** Reads the field in the response to a request that was sent with this challenge, use and account. */
export function readDigestInfo(
  value: string,
  challenge: DigestChallenge,
  use: DigestUse,
  account: DigestAccount,
): DigestInfo {
  const params = parseAuthParams(value);
  const nextNonce = params.get('nextnonce') || undefined;
  const rspauth = params.get('rspauth')?.toLowerCase();
  const input = inputOf(challenge, use);
  if (rspauth === undefined || input === undefined) return { nextNonce, proof: 'absent' };
  const qop = chooseQop(params.get('qop'));
  if (qop === 'auth-int' || (qop === 'none' && input.qop === 'auth-int')) return { nextNonce, proof: 'absent' };
  // A proof for another request proves nothing.
  const mine = (params.get('nc') ?? input.nc) === input.nc && (params.get('cnonce') ?? input.cnonce) === input.cnonce;
  const expected = digestRspauth({ ...input, qop: qop === 'auth' ? 'auth' : input.qop }, account);
  return { nextNonce, proof: mine && rspauth === expected ? 'right' : 'wrong' };
}

const NO_BODY = new Uint8Array();

function inputOf(challenge: DigestChallenge, use: DigestUse): DigestInput | undefined {
  if (challenge.qop === 'auth-int' && use.body === undefined) return undefined;
  const { algorithm, qop, realm, nonce } = challenge;
  const { method, uri, cnonce, body = NO_BODY } = use;
  return { algorithm, qop, realm, nonce, nc: use.count.toString(16).padStart(8, '0'), cnonce, method, uri, body };
}

/** Names that a quoted string cannot hold are sent as `username*` (RFC 7616 §3.4), where that is supported. */
function userName(user: string, { knowsRfc7616 }: DigestChallenge): string {
  if (/^[\x20-\x7e]*$/.test(user) || !knowsRfc7616) return `username=${quoted(octets(user))}`;
  // Everything but attr-char is percent-encoded (RFC 8187 §3.2.1).
  return `username*=UTF-8''${octets(user).replace(/[^\w!#$&+.^`|~-]/g, percentEncoded)}`;
}

const percentEncoded = (char: string): string => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;

/** Without characters that a quoted string cannot hold: a line break in a name would end the field. */
const quoted = (text: string): string => `"${text.replace(/[\x00-\x08\x0a-\x1f\x7f]/g, '').replace(/["\\]/g, '\\$&')}"`;

import { accountLabel } from '../contracts/account.ts';
import { ProxyError } from '../contracts/failure.ts';
import type { Hop } from '../contracts/stages.ts';
import type { Credential } from '../contracts/upstream-account.ts';
import type { Challenge } from '../protocol/http-auth/challenge.ts';
import { formatHop } from '../protocol/routes/proxy-url.ts';
import { type AuthMechanism, SCHEME_OF, SCHEME_TOKEN } from './auth-mechanism.ts';
import type { LoginDenial } from './login-attempt.ts';

/** Why a mechanism is out: it is unavailable, for a reason in one clause, or its secret is not sent. */
export type MechanismFailure =
  | { readonly unavailable: string }
  /** `retryMs`: until the secret is tried once more by itself; `undefined`: when the user lifts the latch. */
  | { readonly rejected: Credential; readonly retryMs: number | undefined }
  /** Nothing is held back: the next request tries the secret again. */
  | { readonly rejectedNow: Credential }
  /** By other proxies, and not by this one. */
  | { readonly rejectedElsewhere: Credential }
  /** Its proofs got no clear response. `retryMs`: until it is tried once more; `undefined`: it has just been held back. */
  | { readonly held: Credential; readonly retryMs: number | undefined };

/** Why no proof may be sent, as the reason why its mechanism is out. */
export function failureByDenial(denial: LoginDenial, credential: Credential): MechanismFailure {
  if (denial.denied === 'rejected') return { rejected: credential, retryMs: denial.retryMs };
  if (denial.denied === 'rejected-elsewhere') return { rejectedElsewhere: credential };
  return { held: credential, retryMs: denial.retryMs };
}

/** The credential that there was; else why an account that is configured has none. */
export interface AccountTried {
  readonly credential: Credential | undefined;
  readonly missing: string | undefined;
}

/** Why a proxy does not let us in, for the page, the log and `why`: it names the proxy and what the user can do. */
export function authFailure(
  hop: Hop,
  challenges: readonly Challenge[],
  closed: ReadonlyMap<AuthMechanism, MechanismFailure>,
  account: AccountTried,
): ProxyError {
  const message = failureMessage(hop, challenges, closed, account);
  return new ProxyError('upstream_auth_failed', message, { clientDetail: message });
}

function failureMessage(
  hop: Hop,
  challenges: readonly Challenge[],
  closed: ReadonlyMap<AuthMechanism, MechanismFailure>,
  { credential, missing }: AccountTried,
): string {
  const proxy = formatHop(hop);
  for (const one of closed.values()) {
    if ('rejected' in one) return rejectedMessage(hop, one.rejected, one.retryMs);
    if ('rejectedNow' in one) return rejectedNowMessage(hop, one.rejectedNow);
    if ('rejectedElsewhere' in one) return rejectedElsewhereMessage(hop, one.rejectedElsewhere);
    if ('held' in one) return heldMessage(hop, one);
  }
  if (challenges.length === 0)
    return `${proxy} requires authentication and names no scheme for it; ask its administrator.`;
  const wanted = `${proxy} requires authentication (${schemesIn(challenges)})`;
  const reasons = [...closed].flatMap(([mechanism, one]) =>
    'unavailable' in one ? [`${mechanismLabel(mechanism)}: ${one.unavailable}`] : [],
  );
  const tried = reasons.length === 0 ? '' : ` ${reasons.join('; ')}.`;
  if (credential === undefined && missing !== undefined) return `${wanted}, and ${missing}.${tried}`;
  if (credential === undefined)
    return `${wanted}, and no account is known for it: use viaduct login, or -u USER, or write it into the URL of the proxy (http://user:password@…).${tried}`;
  return `${wanted}, and ${accountLabel(credential)} (${credential.source}) serves none of these schemes: name another account for it in upstreams.${tried}`;
}

/** For the user who can correct it: whose password, where it came from, what lifts the latch, and when it lifts itself. */
export function rejectedMessage(hop: Hop, credential: Credential, retryMs: number | undefined): string {
  const away = `In case its domain controller was away it is tried once more by itself in ${Math.ceil((retryMs ?? 0) / 60_000)} min; SIGHUP has it tried at once.`;
  const retry = retryMs === undefined ? 'SIGHUP has it tried once more.' : away;
  return `${formatHop(hop)} has rejected the password of ${accountLabel(credential)} (${credential.source}). So that the account is not locked, it is not sent there again until it changes: ${remedyFor(credential)}. ${retry}`;
}

const rejectedNowMessage = (hop: Hop, credential: Credential): string =>
  `${formatHop(hop)} has rejected the password of ${accountLabel(credential)} (${credential.source}): ${remedyFor(credential)}. The next request tries it again.`;

function rejectedElsewhereMessage(hop: Hop, credential: Credential): string {
  return `Other upstream proxies have rejected the password of ${accountLabel(credential)} (${credential.source}). So that the account is not locked, it is not sent to ${formatHop(hop)} either until it changes: ${remedyFor(credential)}.`;
}

function heldMessage(hop: Hop, { held, retryMs }: Extract<MechanismFailure, { held: Credential }>): string {
  const waiting = retryMs === undefined ? 'for now' : `for ${Math.ceil(retryMs / 1000)} s`;
  return `${formatHop(hop)} gave no clear response to the password of ${accountLabel(held)} (${held.source}). It may be wrong; so that the account is not locked, it is not sent there again ${waiting}. If it has changed: ${remedyFor(held)}.`;
}

/** A 407 that names no scheme (RFC 9110 §15.5.8), or that a target may have sent, says nothing about a secret. */
export const unexplainedRefusal = (hop: Hop): ProxyError => {
  const message = `${formatHop(hop)} responded to our login with 407, and did not say itself what it wants; send the request again.`;
  return new ProxyError('upstream_auth_failed', message, { clientDetail: message });
};

function remedyFor({ source }: Credential): string {
  if (source.startsWith('keyring')) return 'use viaduct login';
  // The secret of these comes from there alone: what the keyring has does not count for them.
  if (source.startsWith('file:')) return 'write the new one into the file';
  if (source.startsWith('env:') || source === 'BASIC_CREDENTIALS') return 'start viaduct with the new one';
  if (source.startsWith('URL'))
    return 'write the new one into the URL of the proxy, or use viaduct login without it there';
  return 'use viaduct login, or start viaduct with the new one';
}

/** Only names that are known are repeated: what else a proxy offers was written by others. */
function schemesIn(challenges: readonly Challenge[]): string {
  const known = Object.entries(SCHEME_TOKEN).filter(([name]) => challenges.some(({ scheme }) => scheme === name));
  return known.length === 0 ? 'no scheme that is known here' : known.map(([, word]) => word).join(', ');
}

const mechanismLabel = (mechanism: AuthMechanism): string =>
  mechanism === 'kerberos'
    ? 'Kerberos'
    : mechanism.startsWith('sspi')
      ? 'Windows'
      : mechanism.startsWith('ntlm')
        ? 'NTLM'
        : SCHEME_TOKEN[SCHEME_OF[mechanism]];

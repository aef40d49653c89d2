import type { GssCode } from './gss-library.ts';

/** Bits of a major code that say what went wrong in the call, and in the routine (RFC 2744 §3.9.1). */
const ERROR_BITS = 0xffff_0000;
const NO_CREDENTIAL = 7 << 16;
const CREDENTIAL_EXPIRED = 11 << 16;
/** Another step is needed; the only supplementary bit that matters here. */
const CONTINUE_NEEDED = 1;

export const isFailure = ({ major }: GssCode): boolean => (major & ERROR_BITS) !== 0;
export const isDone = ({ major }: GssCode): boolean => (major & CONTINUE_NEEDED) === 0;

/** Where the codes of krb5 begin; the first 128 are those that a KDC sends (RFC 4120 §7.5.9). */
const KRB5 = -1_765_328_384;

export const TICKET_EXPIRED = 'the Kerberos ticket has run out: kinit gets a new one';
const NO_TICKET = 'there is no Kerberos ticket: kinit gets one';
const UNKNOWN_SERVICE = 'Kerberos does not know this proxy by the name that its URL has';
const NO_REALM = 'krb5.conf names no realm for this proxy, or no KDC for the realm';
const SKEW = 'the clocks of this machine and of Kerberos are too far apart';
const UNREACHABLE = 'no KDC can be reached';
const LOCKED = 'Kerberos has locked the account, or its password has run out';
const NO_CIPHER = 'Kerberos and this machine have no encryption in common';

const REASONS: ReadonlyMap<number, string> = new Map([
  ...([18, 20, 23] as const).map((number) => [KRB5 + number, LOCKED] as const),
  [KRB5 + 1, LOCKED],
  [KRB5 + 7, UNKNOWN_SERVICE],
  [KRB5 + 14, NO_CIPHER],
  [KRB5 + 32, TICKET_EXPIRED],
  [KRB5 + 37, SKEW],
  [KRB5 + 68, NO_REALM],
  // A cache without the ticket, and no cache (KRB5_CC_NOTFOUND, KRB5_FCC_NOFILE).
  [KRB5 + 141, NO_TICKET],
  [KRB5 + 195, NO_TICKET],
  [KRB5 + 148, SKEW],
  [KRB5 + 150, NO_CIPHER],
  [KRB5 + 154, NO_REALM],
  [KRB5 + 156, UNREACHABLE],
  [KRB5 + 164, UNREACHABLE],
  [KRB5 + 185, NO_REALM],
  [KRB5 + 217, NO_REALM],
  [KRB5 + 220, UNREACHABLE],
  [KRB5 + 224, NO_REALM],
  [KRB5 + 236, NO_CIPHER],
  [KRB5 + 237, NO_CIPHER],
  [KRB5 + 243, NO_REALM],
]);

/** One sentence about a failure. `textOf` is called only for codes that the table above does not have. */
export function reasonOf({ major, minor }: GssCode, textOf: (minor: number) => string): string {
  const reason = REASONS.get(minor);
  if (reason !== undefined) return reason;
  const routine = major & ERROR_BITS;
  if (routine === CREDENTIAL_EXPIRED) return TICKET_EXPIRED;
  if (routine === NO_CREDENTIAL) return NO_TICKET;
  return `Kerberos says: ${textOf(minor)}`;
}

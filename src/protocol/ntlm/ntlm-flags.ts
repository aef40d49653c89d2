/** Bits of NegotiateFlags (MS-NLMP §2.2.2.5) that this code reads or sets. */
export const UNICODE = 0x00000001;
export const OEM = 0x00000002;
export const REQUEST_TARGET = 0x00000004;
export const SIGN = 0x00000010;
export const NTLM = 0x00000200;
export const ALWAYS_SIGN = 0x00008000;
export const EXTENDED_SECURITY = 0x00080000;
export const TARGET_INFO = 0x00800000;
export const VERSION = 0x02000000;
export const KEY_128 = 0x20000000;
export const KEY_EXCHANGE = 0x40000000;
export const KEY_56 = 0x80000000;

/** As browsers on Windows send to a proxy: HTTP signs nothing, so neither SIGN nor KEY_EXCHANGE. */
export const HTTP_FLAGS: number =
  (UNICODE | OEM | REQUEST_TARGET | NTLM | ALWAYS_SIGN | EXTENDED_SECURITY | VERSION | KEY_128 | KEY_56) >>> 0;

/** Inside SPNEGO a signature covers the offered mechanisms, so that an attacker cannot remove one on the way. */
export const SPNEGO_FLAGS: number = (HTTP_FLAGS | SIGN | KEY_EXCHANGE) >>> 0;

export const hasFlag = (flags: number, flag: number): boolean => (flags & flag) !== 0;

const NAMES: readonly (readonly [bit: number, name: string])[] = [
  [UNICODE, 'UNICODE'],
  [OEM, 'OEM'],
  [REQUEST_TARGET, 'REQUEST_TARGET'],
  [SIGN, 'SIGN'],
  [0x00000020, 'SEAL'],
  [0x00000040, 'DATAGRAM'],
  [0x00000080, 'LM_KEY'],
  [NTLM, 'NTLM'],
  [0x00000800, 'ANONYMOUS'],
  [0x00001000, 'DOMAIN_SUPPLIED'],
  [0x00002000, 'WORKSTATION_SUPPLIED'],
  [ALWAYS_SIGN, 'ALWAYS_SIGN'],
  [0x00010000, 'TARGET_TYPE_DOMAIN'],
  [0x00020000, 'TARGET_TYPE_SERVER'],
  [EXTENDED_SECURITY, 'EXTENDED_SESSIONSECURITY'],
  [0x00100000, 'IDENTIFY'],
  [0x00400000, 'NON_NT_SESSION_KEY'],
  [TARGET_INFO, 'TARGET_INFO'],
  [VERSION, 'VERSION'],
  [KEY_128, '128'],
  [KEY_EXCHANGE, 'KEY_EXCH'],
  [KEY_56, '56'],
];

/** Names of the bits that are set, lowest first; unknown bits as a number. */
export function flagNames(flags: number): string[] {
  const known = NAMES.filter(([bit]) => hasFlag(flags, bit));
  const rest = known.reduce((left, [bit]) => left & ~bit, flags) >>> 0;
  return [...known.map(([, name]) => name), ...(rest === 0 ? [] : [`0x${rest.toString(16)}`])];
}

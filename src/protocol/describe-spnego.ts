import { describeNtlm, type TokenField } from './ntlm/describe-ntlm.ts';
import {
  MECH_KERBEROS,
  MECH_KERBEROS_MS,
  MECH_NTLM,
  MECH_SPNEGO,
  type NegotiateToken,
  readNegotiateToken,
} from './spnego.ts';

const MECH_NAMES: Readonly<Record<string, string>> = {
  [MECH_SPNEGO]: 'SPNEGO',
  [MECH_NTLM]: 'NTLM',
  [MECH_KERBEROS]: 'Kerberos',
  [MECH_KERBEROS_MS]: 'Kerberos (Microsoft)',
  '1.3.6.1.4.1.311.2.2.30': 'NEGOEX',
};

const mechName = (mech: string): string => MECH_NAMES[mech] ?? mech;

/** A token of `Negotiate`, and the NTLM message in it, field by field. Kerberos tickets are not opened. Never throws. */
export function describeSpnego(token: Buffer): readonly TokenField[] {
  const read = readNegotiateToken(token);
  if (read === undefined) return [{ name: 'Negotiate token', value: `(unreadable, ${token.length} bytes)` }];
  if (read.kind === 'ntlm') return [{ name: 'Negotiate token', value: 'NTLM, without SPNEGO' }, ...describeNtlm(token)];
  return [...head(read, token), ...tail(read)];
}

function head(read: Exclude<NegotiateToken, { kind: 'ntlm' }>, token: Buffer): TokenField[] {
  const name = 'Negotiate token';
  if (read.kind === 'mechanism') return [{ name, value: `${mechName(read.mech)}, ${token.length} bytes` }];
  if (read.kind === 'init') {
    return [
      { name, value: 'SPNEGO, first (NegTokenInit)' },
      { name: 'mechanisms', value: read.mechTypes.map(mechName).join(', ') },
    ];
  }
  return [
    { name, value: 'SPNEGO, response (NegTokenResp)' },
    ...(read.state === undefined ? [] : [{ name: 'state', value: read.state }]),
    ...(read.mech === undefined ? [] : [{ name: 'mechanism', value: mechName(read.mech) }]),
  ];
}

function tail(read: Exclude<NegotiateToken, { kind: 'ntlm' }>): TokenField[] {
  if (read.kind === 'mechanism') return [];
  const inner = read.kind === 'init' ? read.mechToken : read.responseToken;
  return [
    ...(inner === undefined ? [] : describeInner(inner)),
    ...(read.mechListMic === undefined
      ? []
      : [{ name: 'mechListMIC', value: `••• (${read.mechListMic.length} bytes)` }]),
  ];
}

/** The mechanism's own token. It is not read as SPNEGO again: a thousand nested tokens would overflow the stack. */
function describeInner(inner: Buffer): readonly TokenField[] {
  const read = readNegotiateToken(inner);
  if (read?.kind === 'ntlm') return describeNtlm(inner);
  const what = read?.kind === 'mechanism' ? mechName(read.mech) : 'unknown';
  return [{ name: 'mechanism token', value: `${what}, ${inner.length} bytes` }];
}

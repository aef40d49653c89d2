import { createHash, type X509Certificate } from 'node:crypto';
import { AV, avValue, readTargetInfo } from '../../src/protocol/ntlm/ntlm-target-info.ts';

/** MsvAvChannelBindings in the NTLMv2 response of a Type 3 (MS-NLMP §2.2.2.7), in SPNEGO or not. `undefined`: this is no Type 3, or has none. */
export function channelBindingIn(credentials: string | undefined): string | undefined {
  const token = Buffer.from(credentials?.split(' ')[1] ?? '', 'base64');
  const at = token.indexOf('NTLMSSP\0\x03', 0, 'latin1');
  if (at < 0) return undefined;
  const message = token.subarray(at);
  const response = message.subarray(message.readUInt32LE(24)).subarray(0, message.readUInt16LE(20));
  return avValue(readTargetInfo(response.subarray(44)) ?? [], AV.channelBindings)?.toString('hex');
}

/** What it must be, written apart from src/protocol. MS-NLMP §3.1.5.1.2: a struct without addresses, and the application data of RFC 5929 §4. */
export function bindingTo(certificate: X509Certificate): string {
  const hash = createHash('sha256').update(certificate.raw).digest();
  const data = Buffer.concat([Buffer.from('tls-server-end-point:'), hash]);
  const head = Buffer.from(`${'00'.repeat(16)}35000000`, 'hex');
  return createHash('md5')
    .update(Buffer.concat([head, data]))
    .digest('hex');
}

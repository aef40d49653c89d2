import { hasFlag, KEY_EXCHANGE, SIGN } from './ntlm-flags.ts';
import { hmacMd5, type NtlmIdentity, ntlmv2Hash } from './ntlm-hash.ts';
import { encodeAuthenticate, MIC_AT, type NtlmChallenge, negotiatedFlags, readNtlmChallenge } from './ntlm-message.ts';
import { NtlmSession } from './ntlm-session.ts';
import { AV, type AvPair, avValue, encodeTargetInfo, MIC_PROVIDED, withAvPair } from './ntlm-target-info.ts';
import { rc4 } from './rc4.ts';

export interface NtlmAuthenticateInput {
  /** The Type 1 that was sent and the Type 2 that was received, byte by byte: the MIC covers both. */
  readonly negotiate: Buffer;
  readonly challenge: Buffer;
  readonly identity: NtlmIdentity;
  /** For the server's log; may be empty. */
  readonly workstation: string;
  /** `HTTP/proxy.corp.example`: the intended service, so that an attacker cannot relay the message to another one. */
  readonly targetName: string;
  /** MD5 of the channel bindings (channel-binding.ts); absent: the connection has no TLS. */
  readonly channelBinding?: Buffer;
  /** Wall clock, for servers whose challenge has no timestamp. */
  readonly wallMs: number;
  /** 8 random bytes. */
  readonly clientChallenge: Buffer;
  /** 16 random bytes, used where a key is exchanged. */
  readonly randomKey: Buffer;
}

export interface NtlmAuthenticate {
  /** Type 3. */
  readonly message: Buffer;
  readonly session: NtlmSession;
  /** Whether the message has a MIC: then SPNEGO requires its list of mechanisms to be signed too (MS-SPNG §3.1.5.1). */
  readonly mic: 'sent' | 'none';
}

/**
 * Responds to a Type 2 with NTLMv2 (MS-NLMP §3.1.5.1.2), never with LM or NTLMv1, even if the server requests it. Throws
 * `upstream_protocol` when the challenge cannot be read, `upstream_auth_failed` when the names cannot be encoded.
 */
export function createNtlmAuthenticate(input: NtlmAuthenticateInput): NtlmAuthenticate {
  const challenge = readNtlmChallenge(input.challenge);
  const flags = negotiatedFlags(input.negotiate.readUInt32LE(12), challenge.flags);
  const serverTime = challenge.targetInfo && avValue(challenge.targetInfo, AV.timestamp);
  const mic = serverTime?.length === 8 ? 'sent' : 'none';
  const time = serverTime?.length === 8 ? serverTime : fileTime(input.wallMs);
  const key = ntlmv2Hash(input.identity);
  const blob = ntlmv2Blob(time, input.clientChallenge, encodeTargetInfo(clientTargetInfo(challenge, input, mic)));
  const proof = ntlmv2Proof(key, challenge.serverChallenge, blob);

  const baseKey = hmacMd5(key, proof);
  const exchanged = hasFlag(flags, KEY_EXCHANGE) && hasFlag(flags, SIGN);
  const exportedKey = exchanged ? input.randomKey : baseKey;
  const message = encodeAuthenticate({
    flags: exchanged ? flags : (flags & ~KEY_EXCHANGE) >>> 0,
    // A server that sends a timestamp reads only the NT response, and takes an LMv2 response as a sign of tampering.
    lmResponse: mic === 'sent' ? Buffer.alloc(24) : lmv2Response(key, challenge.serverChallenge, input.clientChallenge),
    ntResponse: Buffer.concat([proof, blob]),
    domain: input.identity.domain,
    user: input.identity.user,
    workstation: input.workstation,
    sessionKey: exchanged ? rc4(baseKey)(exportedKey) : Buffer.alloc(0),
  });
  if (mic === 'sent') hmacMd5(exportedKey, input.negotiate, input.challenge, message).copy(message, MIC_AT);
  return { message, session: new NtlmSession(exportedKey, message.readUInt32LE(60)), mic };
}

/** NTProofStr (MS-NLMP §3.3.2). */
export const ntlmv2Proof = (key: Buffer, serverChallenge: Buffer, blob: Buffer): Buffer =>
  hmacMd5(key, serverChallenge, blob);

/** `temp` of MS-NLMP §3.3.2, NTLMv2_CLIENT_CHALLENGE of §2.2.2.7: version, time, client challenge, target info. */
export function ntlmv2Blob(time: Buffer, clientChallenge: Buffer, targetInfo: Buffer): Buffer {
  const head = Buffer.from([1, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([head, time, clientChallenge, Buffer.alloc(4), targetInfo, Buffer.alloc(4)]);
}

/** For servers that send no timestamp, which may verify it. */
export const lmv2Response = (key: Buffer, serverChallenge: Buffer, clientChallenge: Buffer): Buffer =>
  Buffer.concat([hmacMd5(key, serverChallenge, clientChallenge), clientChallenge]);

/** Hundreds of nanoseconds since 1601 (MS-DTYP §2.3.3). */
export function fileTime(wallMs: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(Math.trunc(wallMs) + 11_644_473_600_000) * 10_000n);
  return bytes;
}

/** The server's target info, all of it, with the client's additions. Empty for a server that sent none. */
function clientTargetInfo(
  { targetInfo }: NtlmChallenge,
  { targetName, channelBinding }: NtlmAuthenticateInput,
  mic: NtlmAuthenticate['mic'],
): readonly AvPair[] {
  if (targetInfo === undefined) return [];
  const given = avValue(targetInfo, AV.flags);
  const flags = Buffer.alloc(4);
  flags.writeUInt32LE(((given?.length === 4 ? given.readUInt32LE() : 0) | MIC_PROVIDED) >>> 0);
  const flagged = mic === 'sent' ? withAvPair(targetInfo, AV.flags, flags) : targetInfo;
  // Zeros mean that the connection has no TLS; without the pair the server would assume a client that supports no bindings.
  const bound = withAvPair(flagged, AV.channelBindings, channelBinding ?? Buffer.alloc(16));
  return withAvPair(bound, AV.targetName, Buffer.from(targetName, 'utf16le'));
}

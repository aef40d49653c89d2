import { hasFlag, KEY_EXCHANGE, SIGN } from './ntlm-flags.ts';
import { hmacMd5, type NtlmIdentity, ntlmv2Hash } from './ntlm-hash.ts';
import { agreedFlags, encodeAuthenticate, MIC_AT, type NtlmChallenge, readNtlmChallenge } from './ntlm-message.ts';
import { NtlmSession } from './ntlm-session.ts';
import { AV, encodeTargetInfo, factOf, MIC_PROVIDED, type TargetFact, withFact } from './ntlm-target-info.ts';
import { rc4 } from './rc4.ts';

export interface NtlmAnswerInput {
  /** The Type 1 that was sent and the Type 2 that came back, byte by byte: the MIC covers both. */
  readonly negotiate: Buffer;
  readonly challenge: Buffer;
  readonly identity: NtlmIdentity;
  /** Told to the server's log; may be empty. */
  readonly workstation: string;
  /** `HTTP/proxy.corp.example`: the service that was meant, so that nobody can pass the answer on to another. */
  readonly targetName: string;
  /** MD5 of the channel bindings (channel-binding.ts); absent: the connection has no TLS. */
  readonly channelBinding?: Buffer;
  /** Wall clock, for servers that do not tell their time. */
  readonly wallMs: number;
  /** 8 random bytes. */
  readonly clientChallenge: Buffer;
  /** 16 random bytes, used where a key is exchanged. */
  readonly randomKey: Buffer;
}

export interface NtlmAnswer {
  /** Type 3. */
  readonly message: Buffer;
  readonly session: NtlmSession;
  /** Whether the message carries a MIC: then SPNEGO wants its list of mechanisms signed too (MS-SPNG §3.1.5.1). */
  readonly mic: 'sent' | 'none';
}

/**
 * Answers a Type 2 with NTLMv2 (MS-NLMP §3.1.5.1.2), never with LM or NTLMv1, whatever the server asks for. Throws
 * `parent_protocol` when the challenge cannot be read, `proxy_auth_failed` when the names cannot be written.
 */
export function answerNtlm(input: NtlmAnswerInput): NtlmAnswer {
  const challenge = readNtlmChallenge(input.challenge);
  const flags = agreedFlags(input.negotiate.readUInt32LE(12), challenge.flags);
  const serverTime = challenge.targetInfo && factOf(challenge.targetInfo, AV.timestamp);
  const mic = serverTime?.length === 8 ? 'sent' : 'none';
  const time = serverTime?.length === 8 ? serverTime : fileTime(input.wallMs);
  const key = ntlmv2Hash(input.identity);
  const blob = ntlmv2Blob(time, input.clientChallenge, encodeTargetInfo(ownTargetInfo(challenge, input, mic)));
  const proof = ntlmv2Proof(key, challenge.serverChallenge, blob);

  const baseKey = hmacMd5(key, proof);
  const exchanged = hasFlag(flags, KEY_EXCHANGE) && hasFlag(flags, SIGN);
  const exportedKey = exchanged ? input.randomKey : baseKey;
  const message = encodeAuthenticate({
    flags: exchanged ? flags : (flags & ~KEY_EXCHANGE) >>> 0,
    // A server that tells its time reads only the NT response, and takes an LMv2 one as a sign of tampering.
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

/** `temp` of MS-NLMP §3.3.2, NTLMv2_CLIENT_CHALLENGE of §2.2.2.7: version, time, our challenge, the target info. */
export function ntlmv2Blob(time: Buffer, clientChallenge: Buffer, targetInfo: Buffer): Buffer {
  const head = Buffer.from([1, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([head, time, clientChallenge, Buffer.alloc(4), targetInfo, Buffer.alloc(4)]);
}

/** For servers that tell no time, which may look at it. */
export const lmv2Response = (key: Buffer, serverChallenge: Buffer, clientChallenge: Buffer): Buffer =>
  Buffer.concat([hmacMd5(key, serverChallenge, clientChallenge), clientChallenge]);

/** Hundreds of nanoseconds since 1601 (MS-DTYP §2.3.3). */
export function fileTime(wallMs: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(Math.trunc(wallMs) + 11_644_473_600_000) * 10_000n);
  return bytes;
}

/** What the server told, all of it, and what only we can know. A server that told nothing is told nothing. */
function ownTargetInfo(
  { targetInfo }: NtlmChallenge,
  { targetName, channelBinding }: NtlmAnswerInput,
  mic: NtlmAnswer['mic'],
): readonly TargetFact[] {
  if (targetInfo === undefined) return [];
  const given = factOf(targetInfo, AV.flags);
  const flags = Buffer.alloc(4);
  flags.writeUInt32LE(((given?.length === 4 ? given.readUInt32LE() : 0) | MIC_PROVIDED) >>> 0);
  const told = mic === 'sent' ? withFact(targetInfo, AV.flags, flags) : targetInfo;
  // Zeros say that there is no TLS here, and not that this client knows no channel bindings.
  const bound = withFact(told, AV.channelBindings, channelBinding ?? Buffer.alloc(16));
  return withFact(bound, AV.targetName, Buffer.from(targetName, 'utf16le'));
}

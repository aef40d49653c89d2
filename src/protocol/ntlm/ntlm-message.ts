import { ProxyError } from '../../contracts/failure.ts';
import { hasFlag, OEM, TARGET_INFO, UNICODE, VERSION } from './ntlm-flags.ts';
import { type AvPair, readTargetInfo } from './ntlm-target-info.ts';

/** Every message begins with this and its type (MS-NLMP §2.2.1). */
const SIGNATURE = Buffer.from('NTLMSSP\0', 'latin1');

/** Usual messages have some 500 bytes. The target info of a challenge is sent back with additions, in a field of at most 64 kB. */
const MESSAGE_BYTES_MAX = 16 * 1024;
/** Longest name of a user, domain or workstation in Windows. */
const NAME_CHARS_MAX = 1024;

const TYPE_AT = 8;

/** 1, 2 or 3; `undefined`: not an NTLM message. */
export function ntlmMessageType(message: Buffer): number | undefined {
  const isNtlm = message.length >= TYPE_AT + 4 && message.subarray(0, TYPE_AT).equals(SIGNATURE);
  return isNtlm && message.length <= MESSAGE_BYTES_MAX ? message.readUInt32LE(TYPE_AT) : undefined;
}

/** The content to which a field's head of eight bytes points; `undefined`: outside of the message (MS-NLMP §2.2.1.1). */
export function fieldContent(message: Buffer, headAt: number): Buffer | undefined {
  if (headAt + 8 > message.length) return undefined;
  const length = message.readUInt16LE(headAt);
  const offset = message.readUInt32LE(headAt + 4);
  // The offset of an empty field is ignored: it may point anywhere.
  if (length === 0) return message.subarray(0, 0);
  return offset + length <= message.length ? message.subarray(offset, offset + length) : undefined;
}

/** Text of a message: UTF-16, or one octet per character for peers without Unicode. */
export const ntlmText = (bytes: Buffer, flags: number): string =>
  bytes.toString(hasFlag(flags, UNICODE) ? 'utf16le' : 'latin1');

/** Windows 10, 22H2. Peers do not check it: the version is for debugging (MS-NLMP §2.2.2.10). */
const OUR_VERSION = Buffer.from([10, 0, 0x65, 0x4a, 0, 0, 0, 15]);

/** Type 1. Like Windows without names: a proxy that does not support NTLM should not learn them. */
export function encodeNegotiate(flags: number): Buffer {
  const message = Buffer.alloc(40);
  SIGNATURE.copy(message);
  message.writeUInt32LE(1, TYPE_AT);
  message.writeUInt32LE(flags, 12);
  message.writeUInt32LE(message.length, 20);
  message.writeUInt32LE(message.length, 28);
  if (hasFlag(flags, VERSION)) OUR_VERSION.copy(message, 32);
  return message;
}

/** Type 2, parsed. */
export interface NtlmChallenge {
  readonly flags: number;
  readonly serverChallenge: Buffer;
  readonly targetName: string;
  /** Absent: an old server, which sent none. */
  readonly targetInfo: readonly AvPair[] | undefined;
}

/** Reads a Type 2 and checks that all its fields lie within it. Throws `upstream_protocol`. */
export function readNtlmChallenge(message: Buffer): NtlmChallenge {
  const type = ntlmMessageType(message);
  if (type !== 2) throw malformed(type === undefined ? 'is not an NTLM message' : `has type ${type}`);
  // Challenges of servers before NTLMv2 end after 32 bytes, without a target info.
  if (message.length < 32) throw malformed('is truncated');
  const flags = message.readUInt32LE(20);
  const name = fieldContent(message, 12);
  const info = message.length < 48 ? undefined : fieldContent(message, 40);
  if (name === undefined || (info === undefined && message.length >= 48))
    throw malformed('has a field that points outside of it');
  const pairs = info && info.length > 0 ? readTargetInfo(info) : undefined;
  if (pairs === undefined && info && info.length > 0) throw malformed('has a target info that does not end');
  return {
    flags,
    serverChallenge: message.subarray(24, 32),
    targetName: ntlmText(name, flags),
    targetInfo: pairs,
  };
}

const malformed = (how: string): ProxyError => new ProxyError('upstream_protocol', `the NTLM challenge ${how}`);

/** The contents of a Type 3. */
export interface AuthenticateFields {
  readonly flags: number;
  readonly lmResponse: Buffer;
  readonly ntResponse: Buffer;
  readonly domain: string;
  readonly user: string;
  readonly workstation: string;
  readonly sessionKey: Buffer;
}

/** Position of the MIC in a Type 3 (MS-NLMP §2.2.1.3); it is computed over the message with zeros there. */
export const MIC_AT = 72;
export const MIC_BYTES = 16;
export const AUTHENTICATE_HEAD_BYTES: number = MIC_AT + MIC_BYTES;

/** Type 3, with zeros for a MIC. Throws `upstream_auth_failed` when a name cannot be encoded: too long, or no Unicode. */
export function encodeAuthenticate(parts: AuthenticateFields): Buffer {
  const head = Buffer.alloc(AUTHENTICATE_HEAD_BYTES);
  SIGNATURE.copy(head);
  head.writeUInt32LE(3, TYPE_AT);
  head.writeUInt32LE(parts.flags, 60);
  if (hasFlag(parts.flags, VERSION)) OUR_VERSION.copy(head, 64);
  const name = (text: string): Buffer => encodeName(text, parts.flags);
  const fields: readonly (readonly [headAt: number, content: Buffer])[] = [
    [28, name(parts.domain)],
    [36, name(parts.user)],
    [44, name(parts.workstation)],
    [12, parts.lmResponse],
    [20, parts.ntResponse],
    [52, parts.sessionKey],
  ];
  let offset = head.length;
  for (const [headAt, { length }] of fields) {
    head.writeUInt16LE(length, headAt);
    head.writeUInt16LE(length, headAt + 2);
    head.writeUInt32LE(offset, headAt + 4);
    offset += length;
  }
  return Buffer.concat([head, ...fields.map(([, content]) => content)]);
}

function encodeName(text: string, flags: number): Buffer {
  if (text.length > NAME_CHARS_MAX) throw new ProxyError('upstream_auth_failed', 'a name is too long for NTLM');
  if (hasFlag(flags, UNICODE)) return Buffer.from(text, 'utf16le');
  // The peer's code page is unknown: with a wrong one the name could be that of another user, whose account would be locked.
  if (!/^[\x20-\x7e]*$/.test(text))
    throw new ProxyError('upstream_auth_failed', 'the upstream proxy does not support Unicode names');
  return Buffer.from(text, 'latin1');
}

/** The flags of the Type 3: those of both sides, with Unicode wherever possible (MS-NLMP §3.1.5.1.2). */
export function negotiatedFlags(negotiated: number, challenged: number): number {
  const both = (negotiated | TARGET_INFO) & challenged;
  const charset = hasFlag(challenged, OEM) && !hasFlag(challenged, UNICODE) ? OEM : UNICODE;
  return ((both & ~(OEM | UNICODE)) | charset) >>> 0;
}

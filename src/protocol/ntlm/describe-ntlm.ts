import { flagNames, hasFlag, VERSION } from './ntlm-flags.ts';
import { AUTHENTICATE_HEAD_BYTES, fieldContent, MIC_AT, ntlmMessageType, ntlmText } from './ntlm-message.ts';
import { AV, type AvPair, MIC_PROVIDED, readTargetInfo } from './ntlm-target-info.ts';

/** One line of the description of a token. */
export interface TokenField {
  readonly name: string;
  readonly value: string;
}

/** In place of bytes from which an attacker could guess the password, or with which he could impersonate the user. */
const MASK = '•••';
const OUTSIDE = '(points outside of the message)';

/**
 * Describes an NTLM message of any type, field by field. Never throws: an unreadable field is described as such.
 * Responses, MIC and session key are masked; control characters in names are escaped, since a terminal may show them.
 */
export function describeNtlm(message: Buffer): readonly TokenField[] {
  switch (ntlmMessageType(message)) {
    case 1:
      return [{ name: 'NTLM message', value: 'Type 1, negotiate' }, ...describeNegotiate(message)];
    case 2:
      return [{ name: 'NTLM message', value: 'Type 2, challenge' }, ...describeChallenge(message)];
    case 3:
      return [{ name: 'NTLM message', value: 'Type 3, authenticate' }, ...describeAuthenticate(message)];
    case undefined:
      return [{ name: 'NTLM message', value: `(none: ${message.length} bytes of something else)` }];
    default:
      return [{ name: 'NTLM message', value: '(unknown type)' }];
  }
}

function describeNegotiate(message: Buffer): TokenField[] {
  const flags = flagsAt(message, 12);
  // These two names are never in Unicode (MS-NLMP §2.2.1.1).
  return [
    flagsField(flags),
    ...unlessEmpty(nameField('domain', message, 16, 0)),
    ...unlessEmpty(nameField('workstation', message, 24, 0)),
    ...versionFields(message, 32, flags),
  ];
}

function describeChallenge(message: Buffer): TokenField[] {
  const flags = flagsAt(message, 20);
  const info = message.length < 48 ? undefined : fieldContent(message, 40);
  const challenge = message.length < 32 ? OUTSIDE : message.toString('hex', 24, 32);
  return [
    nameField('target name', message, 12, flags ?? 0),
    flagsField(flags),
    { name: 'server challenge', value: challenge },
    ...(info ? describeTargetInfo(info) : [{ name: 'target info', value: message.length < 48 ? '(none)' : OUTSIDE }]),
    ...versionFields(message, 48, flags),
  ];
}

function describeAuthenticate(message: Buffer): TokenField[] {
  const flags = message.length < 64 ? undefined : flagsAt(message, 60);
  const key = message.length < 60 ? Buffer.alloc(0) : fieldContent(message, 52);
  const heads = [12, 20, 28, 36, 44, 52];
  // Only newer clients send version and MIC between the heads of the fields and their contents.
  const contentAt = Math.min(
    ...heads.filter((at) => lengthAt(message, at) > 0).map((at) => message.readUInt32LE(at + 4)),
  );
  const hasMic = contentAt >= AUTHENTICATE_HEAD_BYTES && message.length >= AUTHENTICATE_HEAD_BYTES;
  return [
    nameField('domain', message, 28, flags ?? 0),
    nameField('user', message, 36, flags ?? 0),
    nameField('workstation', message, 44, flags ?? 0),
    { name: 'LM response', value: describeLm(fieldContent(message, 12)) },
    ...describeNt(fieldContent(message, 20)),
    { name: 'session key', value: masked(key) },
    flagsField(flags),
    ...versionFields(message, 64, contentAt >= MIC_AT ? flags : 0),
    { name: 'MIC', value: hasMic ? masked(message.subarray(MIC_AT, AUTHENTICATE_HEAD_BYTES)) : '(none)' },
  ];
}

function describeLm(response: Buffer | undefined): string {
  if (response?.length === 24 && response.every((byte) => byte === 0)) return 'zeros, as with NTLMv2';
  return masked(response);
}

/** Where the target info begins in an NTLMv2 response: behind the proof and the head of the blob. */
const PROOF_BYTES = 16;
const TARGET_INFO_AT = PROOF_BYTES + 28;

function describeNt(response: Buffer | undefined): TokenField[] {
  const field = (value: string): TokenField => ({ name: 'NT response', value });
  if (response === undefined || response.length === 0) return [field(response ? '(none)' : OUTSIDE)];
  if (response.length < TARGET_INFO_AT)
    return [field(`${response.length === 24 ? 'NTLMv1' : 'unknown'}, ${masked(response)}`)];
  return [
    field(`NTLMv2, ${masked(response)}`),
    { name: 'client time', value: timeText(response.subarray(PROOF_BYTES + 8, PROOF_BYTES + 16)) },
    ...describeTargetInfo(response.subarray(TARGET_INFO_AT)).map(({ name, value }) => ({
      name: `returned: ${name}`,
      value,
    })),
  ];
}

const AV_NAMES: Readonly<Record<number, string>> = {
  [AV.netbiosComputer]: 'NetBIOS computer',
  [AV.netbiosDomain]: 'NetBIOS domain',
  [AV.dnsComputer]: 'DNS computer',
  [AV.dnsDomain]: 'DNS domain',
  [AV.dnsTree]: 'DNS forest',
  [AV.flags]: 'flags',
  [AV.timestamp]: 'server time',
  [AV.singleHost]: 'single host',
  [AV.targetName]: 'target name',
  [AV.channelBindings]: 'channel bindings',
};

function describeTargetInfo(info: Buffer): TokenField[] {
  const pairs = readTargetInfo(info);
  if (pairs === undefined) return [{ name: 'target info', value: '(does not end)' }];
  return pairs.map((pair) => ({ name: AV_NAMES[pair.id] ?? `AV_PAIR ${pair.id}`, value: pairText(pair) }));
}

function pairText({ id, value }: AvPair): string {
  if (id === AV.timestamp) return timeText(value);
  if (id === AV.channelBindings) return value.every((byte) => byte === 0) ? 'none' : value.toString('hex');
  if (id === AV.flags && value.length === 4) {
    const flags = value.readUInt32LE();
    return `0x${flags.toString(16)}${hasFlag(flags, MIC_PROVIDED) ? ' (MIC)' : ''}`;
  }
  return AV_NAMES[id] === undefined || id === AV.singleHost || id === AV.flags
    ? `${value.length} bytes`
    : printable(value.toString('utf16le'));
}

const flagsAt = (message: Buffer, at: number): number | undefined =>
  at + 4 <= message.length ? message.readUInt32LE(at) : undefined;
const lengthAt = (message: Buffer, at: number): number => (at + 8 <= message.length ? message.readUInt16LE(at) : 0);

const flagsField = (flags: number | undefined): TokenField => ({
  name: 'flags',
  value: flags === undefined ? OUTSIDE : `0x${flags.toString(16).padStart(8, '0')} ${flagNames(flags).join(' ')}`,
});

function nameField(name: string, message: Buffer, headAt: number, flags: number): TokenField {
  const bytes = fieldContent(message, headAt);
  return { name, value: bytes ? printable(ntlmText(bytes, flags)) : OUTSIDE };
}

const unlessEmpty = (field: TokenField): TokenField[] => (['', OUTSIDE].includes(field.value) ? [] : [field]);

function versionFields(message: Buffer, at: number, flags: number | undefined): TokenField[] {
  if (!hasFlag(flags ?? 0, VERSION) || message.length < at + 8) return [];
  const build = message.readUInt16LE(at + 2);
  return [{ name: 'version', value: `${message[at]}.${message[at + 1]}.${build}` }];
}

const masked = (bytes: Buffer | undefined): string =>
  bytes === undefined ? OUTSIDE : bytes.length === 0 ? '(none)' : `${MASK} (${bytes.length} bytes)`;

/** 100 ns since 1601, as a date; a time beyond the range of Date in hexadecimal digits. */
function timeText(time: Buffer): string {
  if (time.length !== 8) return `${time.length} bytes`;
  const wallMs = Number(time.readBigUInt64LE() / 10_000n) - 11_644_473_600_000;
  return Math.abs(wallMs) <= 8.64e15 ? new Date(wallMs).toISOString() : `0x${time.toString('hex')}`;
}

/** Names come from the network: characters that could control a terminal are written as their code points. */
const printable = (text: string): string =>
  text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);

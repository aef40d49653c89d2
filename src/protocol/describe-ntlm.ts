import { flagNames, hasFlag, VERSION } from './ntlm-flags.ts';
import { AUTHENTICATE_HEAD_BYTES, MIC_AT, ntlmMessageType, ntlmText, pointedTo } from './ntlm-message.ts';
import { AV, MIC_PROVIDED, readTargetInfo, type TargetFact } from './ntlm-target-info.ts';

/** One line of what a token says. */
export interface TokenField {
  readonly name: string;
  readonly value: string;
}

/** Stands for what would let somebody guess the password, or pass for its owner. */
const MASK = '•••';
const OUTSIDE = '(points outside of the message)';

/**
 * An NTLM message of any type, field by field, for people. It never throws: a field that cannot be read says so.
 * Responses, MIC and session key are masked; control characters in names are not passed on to a terminal.
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
  // These two are never in Unicode (MS-NLMP §2.2.1.1).
  return [
    flagsField(flags),
    ...unlessEmpty(nameField('domain', message, 16, 0)),
    ...unlessEmpty(nameField('workstation', message, 24, 0)),
    ...versionFields(message, 32, flags),
  ];
}

function describeChallenge(message: Buffer): TokenField[] {
  const flags = flagsAt(message, 20);
  const info = message.length < 48 ? undefined : pointedTo(message, 40);
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
  const key = message.length < 60 ? Buffer.alloc(0) : pointedTo(message, 52);
  const heads = [12, 20, 28, 36, 44, 52];
  // Only newer clients have version and MIC between the heads of the fields and their contents.
  const contentAt = Math.min(
    ...heads.filter((at) => lengthAt(message, at) > 0).map((at) => message.readUInt32LE(at + 4)),
  );
  const hasMic = contentAt >= AUTHENTICATE_HEAD_BYTES && message.length >= AUTHENTICATE_HEAD_BYTES;
  return [
    nameField('domain', message, 28, flags ?? 0),
    nameField('user', message, 36, flags ?? 0),
    nameField('workstation', message, 44, flags ?? 0),
    { name: 'LM response', value: describeLm(pointedTo(message, 12)) },
    ...describeNt(pointedTo(message, 20)),
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

/** Where the facts begin in an NTLMv2 response: behind the proof and the head of the blob. */
const PROOF_BYTES = 16;
const FACTS_AT = PROOF_BYTES + 28;

function describeNt(response: Buffer | undefined): TokenField[] {
  const field = (value: string): TokenField => ({ name: 'NT response', value });
  if (response === undefined || response.length === 0) return [field(response ? '(none)' : OUTSIDE)];
  if (response.length < FACTS_AT)
    return [field(`${response.length === 24 ? 'NTLMv1' : 'unknown'}, ${masked(response)}`)];
  return [
    field(`NTLMv2, ${masked(response)}`),
    { name: 'client time', value: timeText(response.subarray(PROOF_BYTES + 8, PROOF_BYTES + 16)) },
    ...describeTargetInfo(response.subarray(FACTS_AT)).map(({ name, value }) => ({
      name: `told back: ${name}`,
      value,
    })),
  ];
}

const FACT_NAMES: Readonly<Record<number, string>> = {
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
  const facts = readTargetInfo(info);
  if (facts === undefined) return [{ name: 'target info', value: '(does not end)' }];
  return facts.map((fact) => ({ name: FACT_NAMES[fact.id] ?? `fact ${fact.id}`, value: factText(fact) }));
}

function factText({ id, value }: TargetFact): string {
  if (id === AV.timestamp) return timeText(value);
  if (id === AV.channelBindings) return value.every((byte) => byte === 0) ? 'none' : value.toString('hex');
  if (id === AV.flags && value.length === 4) {
    const flags = value.readUInt32LE();
    return `0x${flags.toString(16)}${hasFlag(flags, MIC_PROVIDED) ? ' (MIC)' : ''}`;
  }
  return FACT_NAMES[id] === undefined || id === AV.singleHost || id === AV.flags
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
  const bytes = pointedTo(message, headAt);
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

/** 100 ns since 1601, as a date; a time that no date can say in hexadecimal digits. */
function timeText(time: Buffer): string {
  if (time.length !== 8) return `${time.length} bytes`;
  const wallMs = Number(time.readBigUInt64LE() / 10_000n) - 11_644_473_600_000;
  return Math.abs(wallMs) <= 8.64e15 ? new Date(wallMs).toISOString() : `0x${time.toString('hex')}`;
}

/** Names come from strangers: what would move a cursor or turn the text around is written as its number. */
const printable = (text: string): string =>
  text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);

import { ntlmMessageType } from './ntlm/ntlm-message.ts';
import {
  ENUMERATED,
  encodeElement,
  encodeObjectId,
  OBJECT_ID,
  OCTET_STRING,
  objectIdText,
  onlyContent,
  readElement,
  readElements,
  SEQUENCE,
  tagged,
} from './tls/der.ts';

export const MECH_SPNEGO = '1.3.6.1.5.5.2';
export const MECH_NTLM = '1.3.6.1.4.1.311.2.2.10';
export const MECH_KERBEROS = '1.2.840.113554.1.2.2';
/** Kerberos with the wrong identifier of Windows 2000, which all implementations accept. */
export const MECH_KERBEROS_MS = '1.2.840.48018.1.2.2';

/** By their numbers (RFC 4178 §4.2.2). */
export const NEG_STATES = ['accept-completed', 'accept-incomplete', 'reject', 'request-mic'] as const;
export type NegState = (typeof NEG_STATES)[number];

/** The kinds of `Negotiate` tokens. Proxies send bare NTLM as `Negotiate`, and SPNEGO as `NTLM`, so both are read for either. */
export type NegotiateToken =
  | { readonly kind: 'ntlm'; readonly message: Buffer }
  /** A mechanism of GSS-API without SPNEGO around it (RFC 2743 §3.1): Kerberos, mostly. */
  | { readonly kind: 'mechanism'; readonly mech: string }
  | NegTokenInit
  | NegTokenResp;

export interface NegTokenInit {
  readonly kind: 'init';
  readonly mechTypes: readonly string[];
  readonly mechToken: Buffer | undefined;
  readonly mechListMic: Buffer | undefined;
}

export interface NegTokenResp {
  readonly kind: 'response';
  readonly state: NegState | undefined;
  readonly mech: string | undefined;
  readonly responseToken: Buffer | undefined;
  readonly mechListMic: Buffer | undefined;
}

/** As large as a whole head may be (head-buffer.ts): large Kerberos tickets come near it. */
const TOKEN_BYTES_MAX = 64 * 1024;

/** `undefined`: it is malformed, or of another kind. */
export function readNegotiateToken(token: Buffer): NegotiateToken | undefined {
  if (ntlmMessageType(token) !== undefined) return { kind: 'ntlm', message: token };
  if (token.length > TOKEN_BYTES_MAX) return undefined;
  const outer = readElement(token);
  if (outer === undefined || outer.whole.length !== token.length) return undefined;
  if (outer.tag === tagged(1)) return readResponse(outer.content);
  if (outer.tag === tagged(0)) return readInit(outer.content);
  if (outer.tag !== APPLICATION_0) return undefined;
  const id = readElement(outer.content);
  if (id?.tag !== OBJECT_ID) return undefined;
  const mech = objectIdText(id.content);
  if (mech !== MECH_SPNEGO) return { kind: 'mechanism', mech };
  const init = onlyContent(outer.content.subarray(id.whole.length), tagged(0));
  return init && readInit(init);
}

/** InitialContextToken of RFC 2743 §3.1. */
const APPLICATION_0 = 0x60;

/** NegTokenInit, and NegTokenInit2, in which `[3]` holds hints of the server instead of a MIC (MS-SPNG §2.2.1). */
function readInit(bytes: Buffer): NegTokenInit | undefined {
  const fields = fieldsOf(bytes);
  const list = fields?.get(0);
  const mechTypes = list && onlyContent(list, SEQUENCE);
  const ids = mechTypes && readElements(mechTypes);
  if (fields === undefined || !ids?.every(({ tag }) => tag === OBJECT_ID)) return undefined;
  const octets = (number: number): Buffer | undefined => octetsOf(fields.get(number));
  return {
    kind: 'init',
    mechTypes: ids.map(({ content }) => objectIdText(content)),
    mechToken: octets(2),
    mechListMic: octets(3) ?? octets(4),
  };
}

function readResponse(bytes: Buffer): NegTokenResp | undefined {
  const fields = fieldsOf(bytes);
  if (fields === undefined) return undefined;
  const [state, mech] = [fields.get(0), fields.get(1)];
  const number = state && onlyContent(state, ENUMERATED)?.[0];
  const id = mech && onlyContent(mech, OBJECT_ID);
  return {
    kind: 'response',
    state: number === undefined ? undefined : NEG_STATES[number],
    mech: id && objectIdText(id),
    responseToken: octetsOf(fields.get(2)),
    mechListMic: octetsOf(fields.get(3)),
  };
}

/** Contents of `[0]`, `[1]` … in a SEQUENCE; of a number that comes twice the first. */
function fieldsOf(bytes: Buffer): ReadonlyMap<number, Buffer> | undefined {
  const sequence = onlyContent(bytes, SEQUENCE);
  const elements = sequence && readElements(sequence);
  return elements && new Map(elements.toReversed().map(({ tag, content }) => [tag & 0x1f, content]));
}

const octetsOf = (field: Buffer | undefined): Buffer | undefined => field && onlyContent(field, OCTET_STRING);

/** The list that a mechListMIC signs, in DER (RFC 4178 §4.2.1, §5). */
export const mechTypeList = (mechs: readonly string[]): Buffer => encodeElement(SEQUENCE, ...mechs.map(encodeObjectId));

/** The first token of a client, for the first of its mechanisms. */
export function encodeNegTokenInit(mechs: readonly string[], mechToken: Buffer): Buffer {
  const init = encodeElement(
    SEQUENCE,
    encodeElement(tagged(0), mechTypeList(mechs)),
    encodeElement(tagged(2), encodeElement(OCTET_STRING, mechToken)),
  );
  return encodeElement(APPLICATION_0, encodeObjectId(MECH_SPNEGO), encodeElement(tagged(0), init));
}

/** A later token of a client. Its state is always `accept-incomplete`: the server completes the exchange. */
export function encodeNegTokenResp(responseToken: Buffer, mechListMic: Buffer | undefined): Buffer {
  const fields = [
    encodeElement(tagged(0), encodeElement(ENUMERATED, Buffer.from([NEG_STATES.indexOf('accept-incomplete')]))),
    encodeElement(tagged(2), encodeElement(OCTET_STRING, responseToken)),
    ...(mechListMic ? [encodeElement(tagged(3), encodeElement(OCTET_STRING, mechListMic))] : []),
  ];
  return encodeElement(tagged(1), encodeElement(SEQUENCE, ...fields));
}

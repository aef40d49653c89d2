import {
  OBJECT_ID,
  OCTET_STRING,
  objectIdText,
  onlyContent,
  readElement,
  readElements,
  SEQUENCE,
  tagged,
} from './der.ts';

/** The names that a certificate says its holder has. */
export interface CertificateNames {
  /** Common names of the subject (RFC 5280 §4.1.2.6), in order. */
  readonly common: readonly string[];
  /** Of subjectAltName (RFC 5280 §4.2.1.6). */
  readonly dns: readonly string[];
  readonly emails: readonly string[];
}

const COMMON_NAME = '2.5.4.3';
const SUBJECT_ALT_NAME = '2.5.29.17';
const SET = 0x31;
const UTF8_STRING = 0x0c;
const PRINTABLE_STRING = 0x13;
const IA5_STRING = 0x16;
/** `[1] rfc822Name` and `[2] dNSName` of GeneralName, both IA5String. */
const RFC822_NAME = 0x81;
const DNS_NAME = 0x82;
const EXTENSIONS = tagged(3);
const VERSION = tagged(0);

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const NOT_ASCII = /[^\x20-\x7e]/;
const CONTROL = /\p{Cc}/u;

/**
 * Names out of a certificate in DER. Never out of a subject that was printed: a name may hold the commas and equals signs of
 * the print (CVE-2021-44533). A name in an encoding that is rarely meant, or with a control character, is left out.
 * `undefined`: this is no certificate that can be read.
 */
export function certificateNames(certificate: Buffer): CertificateNames | undefined {
  const whole = onlyContent(certificate, SEQUENCE);
  const signed = whole && readElement(whole);
  const parts = signed?.tag === SEQUENCE ? readElements(signed.content) : undefined;
  if (parts === undefined) return undefined;
  // TBSCertificate (RFC 5280 §4.1): version, serialNumber, signature, issuer, validity, subject, …; a version 1 has no first.
  const subject = parts[parts[0]?.tag === VERSION ? 5 : 4];
  if (subject?.tag !== SEQUENCE) return undefined;
  const extensions = parts.find(({ tag }) => tag === EXTENSIONS);
  const alternatives = extensions && alternativeNames(extensions.content);
  return {
    common: commonNames(subject.content),
    dns: namesOf(alternatives, DNS_NAME),
    emails: namesOf(alternatives, RFC822_NAME),
  };
}

function commonNames(subject: Buffer): string[] {
  return (readElements(subject) ?? []).flatMap(({ tag, content }) => {
    const attributes = tag === SET ? (readElements(content) ?? []) : [];
    return attributes.flatMap((attribute) => {
      const [type, value] = (attribute.tag === SEQUENCE && readElements(attribute.content)) || [];
      if (type?.tag !== OBJECT_ID || objectIdText(type.content) !== COMMON_NAME || value === undefined) return [];
      const text = textOf(value.tag, value.content);
      return text === undefined ? [] : [text];
    });
  });
}

function alternativeNames(extensions: Buffer): Buffer | undefined {
  for (const extension of readElements(onlyContent(extensions, SEQUENCE) ?? Buffer.alloc(0)) ?? []) {
    const parts = readElements(extension.content) ?? [];
    const [id] = parts;
    const value = parts.at(-1);
    if (id?.tag !== OBJECT_ID || objectIdText(id.content) !== SUBJECT_ALT_NAME) continue;
    return value?.tag === OCTET_STRING ? onlyContent(value.content, SEQUENCE) : undefined;
  }
  return undefined;
}

function namesOf(alternatives: Buffer | undefined, wanted: number): string[] {
  const names = alternatives === undefined ? [] : (readElements(alternatives) ?? []);
  return names.flatMap(({ tag, content }) => {
    const text = tag === wanted ? textOf(IA5_STRING, content) : undefined;
    return text === undefined ? [] : [text];
  });
}

function textOf(tag: number, content: Buffer): string | undefined {
  if (tag === PRINTABLE_STRING || tag === IA5_STRING) {
    const text = content.toString('latin1');
    return text === '' || NOT_ASCII.test(text) ? undefined : text;
  }
  if (tag !== UTF8_STRING) return undefined;
  try {
    const text = utf8.decode(content);
    return text === '' || CONTROL.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';

/** A key and a certificate that signs itself, in PEM, as node:tls takes them. */
export interface TestCertificate {
  readonly key: string;
  readonly cert: string;
}

/** Keys that sign with SHA-256: one that is good, and one that is too short to be (112 bits, NIST SP 800-57). */
const KEYS = {
  'P-256': { make: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }), algorithm: '2a8648ce3d040302' },
  'RSA-1024': { make: () => generateKeyPairSync('rsa', { modulusLength: 1024 }), algorithm: '2a864886f70d01010b' },
} as const;

/** Made anew for each test, so that no private key lies in the repository. `names` are DNS names and IPv4 addresses. */
export function selfSigned(
  names: readonly string[] = ['localhost', '127.0.0.1'],
  kind: keyof typeof KEYS = 'P-256',
): TestCertificate {
  const { privateKey, publicKey } = KEYS[kind].make();
  const name = sequence(set(sequence(oid('550403'), utf8(names[0] ?? 'localhost'))));
  const valid = sequence(utcTime(Date.now() - 86_400_000), utcTime(Date.now() + 86_400_000));
  const alternatives = names.map((one) =>
    isIPv4(one) ? der(0x87, Buffer.from(one.split('.').map(Number))) : der(0x82, Buffer.from(one)),
  );
  const extension = sequence(oid('551d11'), der(0x04, sequence(...alternatives)));
  const algorithm = sequence(oid(KEYS[kind].algorithm));
  const signed = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))), // version 3
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])), // serial number, positive
    algorithm,
    name,
    valid,
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(extension)),
  );
  const signature = der(0x03, Buffer.concat([Buffer.from([0]), sign('sha256', signed, privateKey)]));
  const cert = sequence(signed, algorithm, signature)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n');
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${cert}\n-----END CERTIFICATE-----\n`,
  };
}

/** One DER element (X.690 §8.1): tag, length, content. */
function der(tag: number, content: Buffer): Buffer {
  const size = content.length;
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}
const sequence = (...parts: Buffer[]): Buffer => der(0x30, Buffer.concat(parts));
const set = (...parts: Buffer[]): Buffer => der(0x31, Buffer.concat(parts));
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const utf8 = (text: string): Buffer => der(0x0c, Buffer.from(text));
const utcTime = (ms: number): Buffer =>
  der(0x17, Buffer.from(`${new Date(ms).toISOString().replace(/\D/g, '').slice(2, 14)}Z`));

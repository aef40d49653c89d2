/** Encrypts or decrypts with the next bytes of its key stream. */
export type Rc4 = (bytes: Uint8Array) => Buffer;

/** RC4, with which NTLM encrypts its session key (MS-NLMP §3.4). OpenSSL 3 has it only in its legacy provider. */
export function rc4(key: Uint8Array): Rc4 {
  const box = Uint8Array.from({ length: 256 }, (_, i) => i);
  const at = (i: number): number => box[i & 255] ?? 0;
  const swap = (i: number, j: number): void => {
    const kept = at(i);
    box[i & 255] = at(j);
    box[j & 255] = kept;
  };
  let j = 0;
  for (let i = 0; i < 256; i++) {
    j = (j + at(i) + (key[i % key.length] ?? 0)) & 255;
    swap(i, j);
  }
  let i = 0;
  j = 0;
  const next = (byte: number): number => {
    i = (i + 1) & 255;
    j = (j + at(i)) & 255;
    swap(i, j);
    return byte ^ at(at(i) + at(j));
  };
  return (bytes) => Buffer.from(bytes.map(next));
}

import { createHash } from 'node:crypto';
import { EXTENDED_SECURITY, hasFlag, KEY_56, KEY_128, KEY_EXCHANGE } from './ntlm-flags.ts';
import { hmacMd5 } from './ntlm-hash.ts';
import { type Rc4, rc4 } from './rc4.ts';

/** The side that signs. Each has its own keys. */
export type NtlmSide = 'client' | 'server';

/** SIGNKEY (MS-NLMP §3.4.5.2). */
export const signingKey = (exportedKey: Uint8Array, side: NtlmSide): Buffer => derived(exportedKey, side, 'signing');

/** SEALKEY with extended security (MS-NLMP §3.4.5.3), from as much of the key as was negotiated. */
export function sealingKey(exportedKey: Uint8Array, side: NtlmSide, flags: number): Buffer {
  const bytes = hasFlag(flags, KEY_128) ? exportedKey.length : hasFlag(flags, KEY_56) ? 7 : 5;
  return derived(exportedKey.subarray(0, bytes), side, 'sealing');
}

function derived(key: Uint8Array, side: NtlmSide, what: 'signing' | 'sealing'): Buffer {
  const direction = side === 'client' ? 'client-to-server' : 'server-to-client';
  return createHash('md5')
    .update(key)
    .update(`session key to ${direction} ${what} key magic constant\0`, 'latin1')
    .digest();
}

/** MAC with extended security (MS-NLMP §3.4.4.2); `seal`: when a session key was exchanged. */
export function ntlmSignature(key: Uint8Array, seal: Rc4 | undefined, sequence: number, message: Uint8Array): Buffer {
  const number = Buffer.alloc(4);
  number.writeUInt32LE(sequence);
  const checksum = hmacMd5(key, number, message).subarray(0, 8);
  return Buffer.concat([Buffer.from([1, 0, 0, 0]), seal ? seal(checksum) : checksum, number]);
}

/** The key that both sides have after a Type 3. It is used to sign SPNEGO's list of mechanisms. */
export class NtlmSession {
  readonly flags: number;
  readonly #exportedKey: Buffer;

  constructor(exportedKey: Buffer, flags: number) {
    this.#exportedKey = exportedKey;
    this.flags = flags;
  }

  /** The side's first signature, number 0; `undefined` without extended security, whose signatures are not supported. */
  firstSignature(side: NtlmSide, message: Uint8Array): Buffer | undefined {
    if (!hasFlag(this.flags, EXTENDED_SECURITY)) return undefined;
    const seal = hasFlag(this.flags, KEY_EXCHANGE) ? rc4(sealingKey(this.#exportedKey, side, this.flags)) : undefined;
    return ntlmSignature(signingKey(this.#exportedKey, side), seal, 0, message);
  }
}

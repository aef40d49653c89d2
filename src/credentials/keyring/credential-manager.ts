import { layoutProblem, loadKoffi } from '../../native/koffi.ts';
import type { EntryOf } from './keyring-entry.ts';

/** CRED_TYPE_GENERIC: not for Windows' own logins. */
const GENERIC = 1;
/** CRED_PERSIST_LOCAL_MACHINE: it outlives the session, and does not follow the user to other machines. */
const LOCAL_MACHINE = 2;
/** Of wincred.h, for 64 bits: the size of a CREDENTIALW, and where its fields are. */
const CREDENTIAL_BYTES = 80;
const AT = { type: 4, target: 8, blobSize: 32, blob: 40, persist: 48, user: 72 } as const;
/** CRED_MAX_CREDENTIAL_BLOB_SIZE. */
const BLOB_BYTES_MAX = 2560;

/**
 * Entries of Windows' Credential Manager, under the names that `@napi-rs/keyring` gives them: what one has stored the other finds.
 * `undefined` where koffi is not installed, or Node has not 64 bits.
 */
export async function credentialManager(): Promise<EntryOf | undefined> {
  const koffi = layoutProblem() === undefined ? await loadKoffi() : undefined;
  if (koffi === undefined) return undefined;
  const library = koffi.load('advapi32.dll');
  const [pointer, text, number] = ['void *', 'str16', 'uint32'];
  const read = library.func('CredReadW', 'int32', [text, number, number, pointer]);
  const write = library.func('CredWriteW', 'int32', [pointer, number]);
  const remove = library.func('CredDeleteW', 'int32', [text, number, number]);
  const free = library.func('CredFree', 'void', ['uint64']);
  const bytesAt = (address: bigint, length: number): Buffer => Buffer.from(new Uint8Array(koffi.view(address, length)));

  return (service, entry) => {
    const target = `${entry}.${service}`;
    return {
      async getPassword() {
        const found = Buffer.alloc(8);
        if (read(target, GENERIC, 0, found) === 0) return null;
        const address = found.readBigUInt64LE();
        const credential = bytesAt(address, CREDENTIAL_BYTES);
        const size = Math.min(credential.readUInt32LE(AT.blobSize), BLOB_BYTES_MAX);
        const blob = bytesAt(credential.readBigUInt64LE(AT.blob), size);
        free(address);
        return blob.toString('utf16le');
      },
      async setPassword(password) {
        const texts = [target, entry].map((one) => Buffer.from(`${one}\0`, 'utf16le'));
        const [name = Buffer.alloc(2), user = Buffer.alloc(2)] = texts;
        const blob = Buffer.from(password, 'utf16le');
        const credential = Buffer.alloc(CREDENTIAL_BYTES);
        credential.writeUInt32LE(GENERIC, AT.type);
        credential.writeBigUInt64LE(koffi.address(name), AT.target);
        credential.writeUInt32LE(blob.length, AT.blobSize);
        credential.writeBigUInt64LE(koffi.address(blob), AT.blob);
        credential.writeUInt32LE(LOCAL_MACHINE, AT.persist);
        credential.writeBigUInt64LE(koffi.address(user), AT.user);
        const isWritten = write(credential, 0) !== 0;
        blob.fill(0);
        if (!isWritten) throw new Error('the Credential Manager stores no secret');
      },
      async deletePassword() {
        return remove(target, GENERIC, 0) !== 0;
      },
    };
  };
}

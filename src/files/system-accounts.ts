import { FileError } from './file-terms.ts';
import { readFileBounded } from './read-file.ts';

/** Larger than any such file that a person keeps by hand. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;

const FILES = { user: '/etc/passwd', group: '/etc/group' } as const;

/**
 * The number of a user or group of this machine: of its file, or the number itself. Accounts of a directory server have
 * none there: its number has to be written. `undefined`: there is no such account.
 */
export function accountNumber(kind: 'user' | 'group', name: string): number | undefined {
  if (/^\d{1,10}$/.test(name)) return Number(name);
  for (const line of linesOf(FILES[kind])) {
    const [entry, , number = ''] = line.split(':');
    if (entry === name && /^\d+$/.test(number)) return Number(number);
  }
  return undefined;
}

/** Where `accountNumber` looks, for messages. */
export const accountFile = (kind: 'user' | 'group'): string => FILES[kind];

function linesOf(path: string): string[] {
  try {
    return readFileBounded(path, { bytesMax: FILE_BYTES_MAX, pipes: 'refuse' }).toString('utf8').split('\n');
  } catch (error) {
    if (error instanceof FileError) return [];
    throw error;
  }
}

import { loadKoffi } from './koffi.ts';

/** The registry of Windows. */
export interface Registry {
  /** A text that differs when the key was written in between; empty while there is no such key. `HKLM\\…` or `HKCU\\…`. */
  stampOf(key: string): string;
}

/** Handles of the roots, which are numbers below zero in 64 bits. */
const ROOTS: ReadonlyMap<string, bigint> = new Map([
  ['HKCU', -0x7fff_ffffn],
  ['HKLM', -0x7fff_fffen],
]);
/** KEY_QUERY_VALUE, which also shows when the key was written. */
const QUERY_VALUE = 1;

/** Loads advapi32.dll; `undefined` where this is no Windows, or koffi is not installed. */
export async function openRegistry(platform: NodeJS.Platform): Promise<Registry | undefined> {
  const koffi = platform === 'win32' ? await loadKoffi() : undefined;
  if (koffi === undefined) return undefined;
  const library = koffi.load('advapi32.dll');
  const [handle, pointer, text, number] = ['int64', 'void *', 'str16', 'uint32'];
  const open = library.func('RegOpenKeyExW', 'int32', [handle, text, number, number, pointer]);
  const inform = library.func('RegQueryInfoKeyW', 'int32', [handle, ...Array<string>(11).fill(pointer)]);
  const close = library.func('RegCloseKey', 'int32', [handle]);
  return {
    stampOf(key) {
      const slash = key.indexOf('\\');
      const opened = Buffer.alloc(8);
      if (open(ROOTS.get(key.slice(0, slash)), key.slice(slash + 1), 0, QUERY_VALUE, opened) !== 0) return '';
      const written = Buffer.alloc(8);
      const code = inform(opened.readBigInt64LE(), ...Array<null>(10).fill(null), written);
      close(opened.readBigInt64LE());
      return code === 0 ? written.toString('hex') : '';
    },
  };
}

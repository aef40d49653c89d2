export type Koffi = typeof import('koffi');

/** The package that calls functions of Windows; `undefined` where it is not installed for this machine. */
export async function loadKoffi(): Promise<Koffi | undefined> {
  try {
    return await import('koffi');
  } catch {
    return undefined;
  }
}

/** Structures of Windows are written out for 64 bits: with others memory would be read and written where it must not be. */
export const layoutProblem = (arch: string = process.arch): string | undefined =>
  arch === 'x64' || arch === 'arm64'
    ? undefined
    : `calls of Windows are known for 64 bits, and this Node is for ${arch}`;

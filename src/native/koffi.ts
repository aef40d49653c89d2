export type Koffi = typeof import('koffi');

/** The package that calls functions of Windows; `undefined` where it is not installed for this machine. */
export async function loadKoffi(): Promise<Koffi | undefined> {
  try {
    return await import('koffi');
  } catch {
    return undefined;
  }
}

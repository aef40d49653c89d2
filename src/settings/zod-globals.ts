/**
 * zod keeps two objects in globals, so that copies of it in one process share them, and makes them enumerable: checks of
 * test runners for leaked globals then complain about every program that imports this package. Made here first, they
 * are as shared and not enumerable. Imported for this effect alone, before anything that imports zod.
 */
for (const name of ['__zod_globalConfig', '__zod_globalRegistry']) {
  if (!Object.hasOwn(globalThis, name)) {
    Object.defineProperty(globalThis, name, {
      value: undefined,
      writable: true,
      configurable: true,
      enumerable: false,
    });
  }
}

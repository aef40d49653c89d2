import type { KoffiFunc } from 'koffi';

/** Addresses of what GSS-API keeps; `null` is its "none". */
export type Handle = bigint | null;

export interface Bytes {
  readonly length: number;
  readonly value: Buffer | null;
}
/** What GSS-API has allocated. */
export interface OutputBuffer {
  length?: number | bigint;
  value?: Handle;
}
export interface ObjectId {
  readonly length: number;
  readonly elements: Buffer;
}
export interface Bindings {
  readonly initiatorType: number;
  readonly initiator: Bytes;
  readonly acceptorType: number;
  readonly acceptor: Bytes;
  readonly data: Bytes;
}
export type Native<A extends readonly unknown[]> = KoffiFunc<(...words: [...A]) => number>;

export type Acquire = [
  ...[minor: number[], name: Handle, lifetimeS: number, mechanisms: { count: number; elements: ObjectId[] }],
  ...[usage: number, credential: Handle[], mechanisms: null, givenS: number[]],
];
export type Initiate = [
  ...[minor: number[], credential: Handle, context: Handle[], name: Handle, mechanism: ObjectId],
  ...[flags: number, lifetimeS: number, bindings: Bindings | null, token: Bytes | null],
  ...[mechanism: null, given: OutputBuffer, flags: null, lifetimeS: null],
];

/** Key and value, e.g. `keytab` and its path (gssapi_ext.h of MIT and Heimdal). */
export interface KeyValues {
  readonly count: number;
  readonly elements: readonly { readonly key: string; readonly value: string }[];
}
export type AcquireFrom = [
  ...[minor: number[], name: Handle, lifetimeS: number, mechanisms: { count: number; elements: ObjectId[] }],
  ...[usage: number, store: KeyValues, credential: Handle[], mechanisms: null, lifetimeS: null],
];
export type Accept = [
  ...[minor: number[], context: Handle[], credential: Handle, token: Bytes, bindings: null],
  ...[source: Handle[], mechanism: null, given: OutputBuffer, flags: null, lifetimeS: null, delegated: null],
];

/** The functions of GSS-API that are used, as RFC 2744 declares them; each gives its major code. */
export interface GssFunctions {
  readonly importName: Native<[minor: number[], name: Bytes, kind: ObjectId, given: Handle[]]>;
  readonly acquireCredential: Native<Acquire>;
  readonly initiateContext: Native<Initiate>;
  /** Absent where the library cannot name a keytab, as Apple's. */
  readonly acquireCredentialFrom: Native<AcquireFrom> | undefined;
  readonly acceptContext: Native<Accept>;
  readonly displayName: Native<[minor: number[], name: Handle, given: OutputBuffer, kind: null]>;
  readonly displayStatus: Native<
    [minor: number[], code: number, kind: number, mechanism: ObjectId, more: number[], given: OutputBuffer]
  >;
  readonly releaseBytes: Native<[minor: number[], given: OutputBuffer]>;
  readonly releaseName: Native<[minor: number[], name: Handle[]]>;
  readonly releaseCredential: Native<[minor: number[], credential: Handle[]]>;
  readonly deleteContext: Native<[minor: number[], context: Handle[], token: null]>;
}

/** Throws where the library lacks one of them. */
export function declareGss(
  koffi: typeof import('koffi'),
  library: ReturnType<typeof koffi.load>,
  platform: NodeJS.Platform,
): GssFunctions {
  const { pointer, out, inout } = koffi;
  const bytes = koffi.struct({ length: 'size_t', value: 'void *' });
  // Apple's headers pack this one where they still remember PowerPC.
  const layout = platform === 'darwin' && process.arch === 'x64' ? koffi.pack : koffi.struct;
  const oid = layout({ length: 'uint32', elements: 'void *' });
  const oids = koffi.struct({ count: 'size_t', elements: pointer(oid) });
  const bindings = koffi.struct({
    initiatorType: 'uint32',
    initiator: bytes,
    acceptorType: 'uint32',
    acceptor: bytes,
    data: bytes,
  });
  const [number, handle] = [out(pointer('uint32')), 'void *'];
  const [newHandle, sameHandle] = [out(pointer(handle)), inout(pointer(handle))];
  const [oidIn, bytesIn, bytesOut] = [pointer(oid), pointer(bytes), out(pointer(bytes))];

  const pair = koffi.struct({ key: 'const char *', value: 'const char *' });
  const store = koffi.struct({ count: 'uint32', elements: pointer(pair) });
  const acquireFrom = (): Native<AcquireFrom> =>
    library.func('gss_acquire_cred_from', 'uint32', [
      ...[number, handle, 'uint32', pointer(oids), 'int', pointer(store)],
      ...[newHandle, handle, handle],
    ]);

  const release = [number, sameHandle];
  return {
    importName: library.func('gss_import_name', 'uint32', [number, bytesIn, oidIn, newHandle]),
    acquireCredential: library.func('gss_acquire_cred', 'uint32', [
      ...[number, handle, 'uint32', pointer(oids), 'int'],
      ...[newHandle, handle, number],
    ]),
    initiateContext: library.func('gss_init_sec_context', 'uint32', [
      ...[number, handle, sameHandle, handle, oidIn],
      ...['uint32', 'uint32', pointer(bindings), bytesIn],
      ...[handle, bytesOut, handle, handle],
    ]),
    acquireCredentialFrom: unlessMissing(acquireFrom),
    acceptContext: library.func('gss_accept_sec_context', 'uint32', [
      ...[number, sameHandle, handle, bytesIn, handle],
      ...[newHandle, handle, bytesOut, handle, handle, handle],
    ]),
    displayName: library.func('gss_display_name', 'uint32', [number, handle, bytesOut, handle]),
    displayStatus: library.func('gss_display_status', 'uint32', [
      ...[number, 'uint32', 'int', oidIn],
      ...[inout(pointer('uint32')), bytesOut],
    ]),
    releaseBytes: library.func('gss_release_buffer', 'uint32', [number, inout(pointer(bytes))]),
    releaseName: library.func('gss_release_name', 'uint32', release),
    releaseCredential: library.func('gss_release_cred', 'uint32', release),
    deleteContext: library.func('gss_delete_sec_context', 'uint32', [number, sameHandle, handle]),
  };
}

/** koffi throws for a function that the library does not have. */
function unlessMissing<T>(declare: () => T): T | undefined {
  try {
    return declare();
  } catch {
    return undefined;
  }
}

import {
  type Accept,
  type Acquire,
  type AcquireFrom,
  type Bindings,
  type Bytes,
  declareGss,
  type Handle,
  type Initiate,
  type Native,
  type ObjectId,
  type OutputBuffer,
} from './gss-functions.ts';

/** How a call ended (RFC 2744 §3.9): its own code, and the one of Kerberos as the 32 bits that krb5's tables name. */
export interface GssCode {
  readonly major: number;
  readonly minor: number;
}

/**
 * What Kerberos needs of the system's GSS-API. Calls that give a promise may ask the network and take their time: they
 * run on a thread of Node's pool, and cannot be stopped.
 */
export interface GssLibrary {
  /** `service` is `HTTP@host`. */
  importService(service: string): Promise<GssCode & { readonly name: Handle }>;
  /** The tickets that there are now. `lifetimeS`: seconds that they are still good for; 0 when they have run out. */
  acquire(): Promise<GssCode & { readonly credential: Handle; readonly lifetimeS: number }>;
  initiate(step: Initiation): Promise<GssCode & { readonly context: Handle; readonly token: Buffer | undefined }>;
  /** The keys of a service, in a file. `undefined`: this library can name no such file. */
  acquireFrom(keytab: string): Promise<GssCode & { readonly credential: Handle }> | undefined;
  /** One token of a client: who it is, as the library writes its name. */
  accept(acceptance: Acceptance): Promise<GssCode & { readonly client: string | undefined }>;
  releaseName(name: Handle): void;
  releaseCredential(credential: Handle): void;
  releaseContext(context: Handle): void;
  /** The library's text for a code of Kerberos, for people. */
  textOf(minor: number): string;
}
export interface Acceptance {
  readonly credential: Handle;
  readonly token: Buffer;
}
export interface Initiation {
  readonly credential: Handle;
  readonly context: Handle;
  readonly name: Handle;
  /** Application data of the channel binding. */
  readonly binding: Buffer | undefined;
  readonly token: Buffer | undefined;
}

/** MIT's library, Heimdal's, and Apple's. */
const LIBRARY_NAMES: Readonly<Partial<Record<NodeJS.Platform, readonly string[]>>> = {
  darwin: ['/System/Library/Frameworks/GSS.framework/GSS'],
  linux: ['libgssapi_krb5.so.2', 'libgssapi.so.3'],
  freebsd: ['libgssapi_krb5.so.2', 'libgssapi.so.10'],
};

const objectId = (hex: string): ObjectId => ({ length: hex.length / 2, elements: Buffer.from(hex, 'hex') });
/** 1.2.840.113554.1.2.2 */
const KERBEROS = objectId('2a864886f712010202');
/** GSS_C_NT_HOSTBASED_SERVICE, 1.2.840.113554.1.2.1.4 */
const HOST_SERVICE = objectId('2a864886f71201020104');
const NO_BYTES: Bytes = { length: 0, value: null };
const MUTUAL_FLAG = 2;
const INDEFINITE = 0xffff_ffff;
const INITIATE = 1;
const ACCEPT = 2;
const MECHANISM_CODE = 2;

/** Loads the library, or returns why there is none. */
export async function openGssLibrary(
  platform: NodeJS.Platform,
): Promise<GssLibrary | { readonly unavailable: string }> {
  const places = LIBRARY_NAMES[platform];
  if (places === undefined) return { unavailable: `Kerberos by GSS-API is not to be had on ${platform}` };
  const koffi = await import('koffi').catch(() => undefined);
  if (koffi === undefined)
    return { unavailable: 'the package koffi, which calls GSS-API, is not installed for this machine' };
  for (const place of places) {
    try {
      return bind(koffi, koffi.load(place), platform);
    } catch {
      // Not there, or not what it should be.
    }
  }
  return { unavailable: `there is no Kerberos library here (${places.join(', ')})` };
}

function bind(
  koffi: typeof import('koffi'),
  library: ReturnType<typeof koffi.load>,
  platform: NodeJS.Platform,
): GssLibrary {
  const gss = declareGss(koffi, library, platform);
  /** What threads read and write: it must not be collected before they are done. */
  const lent = new Set<readonly unknown[]>();

  function onThread<A extends readonly unknown[]>(native: Native<A>, ...words: [...A]): Promise<number> {
    return new Promise((resolve, reject) => {
      lent.add(words);
      const done = (error: unknown, major: number): void => {
        lent.delete(words);
        if (error) reject(error);
        else resolve(major);
      };
      native.async(...words, done);
    });
  }

  function take(given: OutputBuffer): Buffer | undefined {
    const { length = 0, value = null } = given;
    if (value === null) return undefined;
    const copy: Uint8Array = koffi.decode(value, 'uint8', Number(length));
    const taken = Buffer.from(copy);
    gss.releaseBytes([0], given);
    return taken;
  }

  return {
    async importService(service) {
      const [minor, name]: [number[], Handle[]] = [[0], [null]];
      const text = Buffer.from(service);
      const major = await onThread(gss.importName, minor, { length: text.length, value: text }, HOST_SERVICE, name);
      return { ...code(major, minor), name: name[0] ?? null };
    },
    async acquire() {
      const [minor, credential, lifetime]: [number[], Handle[], number[]] = [[0], [null], [0]];
      const wanted = { count: 1, elements: [KERBEROS] };
      const words: Acquire = [minor, null, INDEFINITE, wanted, INITIATE, credential, null, lifetime];
      const major = await onThread(gss.acquireCredential, ...words);
      const [seconds = 0] = lifetime;
      return {
        ...code(major, minor),
        credential: credential[0] ?? null,
        lifetimeS: seconds === INDEFINITE ? Number.POSITIVE_INFINITY : seconds,
      };
    },
    async initiate({ credential, context, name, binding, token }) {
      const [minor, contexts, given]: [number[], Handle[], OutputBuffer] = [[0], [context], {}];
      const words: Initiate = [
        ...([minor, credential, contexts, name, KERBEROS] as const),
        ...([MUTUAL_FLAG, 0, binding ? bindingsOf(binding) : null, token ? bytesOf(token) : null] as const),
        ...([null, given, null, null] as const),
      ];
      const major = await onThread(gss.initiateContext, ...words);
      return { ...code(major, minor), context: contexts[0] ?? null, token: take(given) };
    },
    acquireFrom(keytab) {
      const { acquireCredentialFrom } = gss;
      if (acquireCredentialFrom === undefined) return undefined;
      const [minor, credential]: [number[], Handle[]] = [[0], [null]];
      const wanted = { count: 1, elements: [KERBEROS] };
      const store = { count: 1, elements: [{ key: 'keytab', value: keytab }] };
      const words: AcquireFrom = [minor, null, INDEFINITE, wanted, ACCEPT, store, credential, null, null];
      return onThread(acquireCredentialFrom, ...words).then((major) => ({
        ...code(major, minor),
        credential: credential[0] ?? null,
      }));
    },
    async accept({ credential, token }) {
      const [minor, contexts, source, given]: [number[], Handle[], Handle[], OutputBuffer] = [[0], [null], [null], {}];
      const words: Accept = [
        ...([minor, contexts, credential, bytesOf(token), null] as const),
        ...([source, null, given, null, null, null] as const),
      ];
      const major = await onThread(gss.acceptContext, ...words);
      const name = source[0] ?? null;
      const text: OutputBuffer = {};
      if (name !== null) gss.displayName([0], name, text, null);
      const client = take(text)?.toString();
      // A proof of ours for the client is not sent: a response to CONNECT has no place for it.
      take(given);
      const context = contexts[0] ?? null;
      if (context !== null) gss.deleteContext([0], [context], null);
      if (name !== null) gss.releaseName([0], [name]);
      return { ...code(major, minor), client };
    },
    releaseName: (name) => void (name !== null && gss.releaseName([0], [name])),
    releaseCredential: (credential) => void (credential !== null && gss.releaseCredential([0], [credential])),
    releaseContext: (context) => void (context !== null && gss.deleteContext([0], [context], null)),
    textOf(minor) {
      const given: OutputBuffer = {};
      gss.displayStatus([0], minor >>> 0, MECHANISM_CODE, KERBEROS, [0], given);
      return take(given)?.toString() ?? `code ${minor}`;
    },
  };
}

/** The minor code is an unsigned number in the interface, and a signed one in every table of Kerberos. */
const code = (major: number, [minor = 0]: readonly number[]): GssCode => ({ major, minor: minor | 0 });

const bytesOf = (value: Buffer): Bytes => ({ length: value.length, value });

/** Without addresses (RFC 5929 §5 says nothing of them). */
const bindingsOf = (data: Buffer): Bindings => ({
  initiatorType: 0,
  initiator: NO_BYTES,
  acceptorType: 0,
  acceptor: NO_BYTES,
  data: bytesOf(data),
});

import type { Secret } from '../../contracts/secret.ts';
import { layoutProblem, loadKoffi } from '../../native/koffi.ts';

/** `Negotiate` chooses Kerberos where it can, and NTLM in SPNEGO else. */
export type SspiPackage = 'Negotiate' | 'NTLM';

/** Whose credentials; `undefined`: of the user who is logged in. */
export interface SspiAccount {
  readonly user: string;
  readonly domain: string | undefined;
  readonly password: Secret;
}

/** A SECURITY_STATUS, and what the call gave. */
export interface SspiStep {
  readonly status: number;
  readonly token: Buffer | undefined;
}

/** One login. Its calls run on a thread of Node's pool, and cannot be stopped. */
export interface SspiLogin {
  /** `target` is `HTTP/host`; `binding` ties it to a TLS connection (protocol/tls/channel-binding.ts). */
  step(target: string, token: Buffer | undefined, binding: Buffer | undefined): Promise<SspiStep>;
  release(): void;
}

export interface SspiLibrary {
  begin(name: SspiPackage, account: SspiAccount | undefined): Promise<SspiLogin | { readonly status: number }>;
}

const CREDENTIALS_OUTBOUND = 2;
const UNICODE = 2;
const NATIVE_DATA = 0x10;
/** ISC_REQ_CONNECTION: HTTP signs and seals nothing. */
const CONNECTION = 0x800;
/** Kinds of a SecBuffer. */
const TOKEN = 2;
const CHANNEL_BINDINGS = 14;
/** Larger than any token: that of Kerberos is bounded by MaxTokenSize, 48,000 bytes. */
const TOKEN_BYTES_MAX = 65_536;
const COMPLETE_NEEDED = [0x0009_0313, 0x0009_0314];

/** Loads secur32.dll, or returns why it cannot be called. Structures are written out here, for 64 bits. */
export async function openSspiLibrary(
  platform: NodeJS.Platform,
  load: typeof loadKoffi = loadKoffi,
): Promise<SspiLibrary | { readonly unavailable: string }> {
  if (platform !== 'win32') return { unavailable: 'SSPI is a part of Windows' };
  const problem = layoutProblem();
  if (problem !== undefined) return { unavailable: problem };
  const koffi = await load();
  if (koffi === undefined)
    return { unavailable: 'the package koffi, which calls SSPI, is not installed for this machine' };
  const library = koffi.load('secur32.dll');
  const [number, pointer, text] = ['uint32', 'void *', 'str16'];
  const acquire = library.func('AcquireCredentialsHandleW', 'int32', [
    ...[pointer, text, number, pointer, pointer],
    ...[pointer, pointer, pointer, pointer],
  ]);
  const initialize = library.func('InitializeSecurityContextW', 'int32', [
    ...[pointer, pointer, text, number, number, number],
    ...[pointer, number, pointer, pointer, pointer, pointer],
  ]);
  const complete = library.func('CompleteAuthToken', 'int32', [pointer, pointer]);
  const deleteContext = library.func('DeleteSecurityContext', 'int32', [pointer]);
  const freeCredentials = library.func('FreeCredentialsHandle', 'int32', [pointer]);
  const addressOf = (bytes: Buffer): bigint => koffi.address(bytes);

  /** Keeps what the thread reads and writes from being collected before it is done. */
  const lent = new Set<readonly unknown[]>();
  function onThread(native: typeof acquire, words: readonly unknown[], kept: readonly unknown[] = []): Promise<number> {
    return new Promise((resolve, reject) => {
      const all = [words, kept];
      lent.add(all);
      native.async(...words, (error: unknown, status: number) => {
        lent.delete(all);
        if (error) reject(error);
        else resolve(status >>> 0);
      });
    });
  }

  /** A SecBufferDesc with its buffers behind it. */
  function describe(buffers: readonly { readonly kind: number; readonly bytes: Buffer }[]): Buffer {
    const layout = Buffer.alloc(16 + 16 * buffers.length);
    layout.writeUInt32LE(buffers.length, 4);
    layout.writeBigUInt64LE(addressOf(layout) + 16n, 8);
    for (const [at, { kind, bytes }] of buffers.entries()) {
      layout.writeUInt32LE(bytes.length, 16 + 16 * at);
      layout.writeUInt32LE(kind, 20 + 16 * at);
      layout.writeBigUInt64LE(addressOf(bytes), 24 + 16 * at);
    }
    return layout;
  }

  return {
    async begin(name, account) {
      const credentials = Buffer.alloc(16);
      const identity = account && identityOf(account, addressOf);
      const status = await onThread(
        acquire,
        [null, name, CREDENTIALS_OUTBOUND, null, identity?.layout ?? null, null, null, credentials, Buffer.alloc(8)],
        [identity],
      );
      identity?.erase();
      if (isSspiFailure(status)) return { status };
      let context: Buffer | undefined;
      return {
        async step(target, token, binding) {
          const given = Buffer.alloc(TOKEN_BYTES_MAX);
          const output = describe([{ kind: TOKEN, bytes: given }]);
          // The offer of NTLM carries no binding, and Wine refuses one without a token; a ticket carries it in the first round.
          const isOffer = name === 'NTLM' && token === undefined;
          const received = [
            ...(token === undefined ? [] : [{ kind: TOKEN, bytes: token }]),
            ...(binding === undefined || isOffer ? [] : [{ kind: CHANNEL_BINDINGS, bytes: channelBindings(binding) }]),
          ];
          const input = received.length === 0 ? null : describe(received);
          const next = context ?? Buffer.alloc(16);
          const words = [credentials, context ?? null, target, CONNECTION, 0, NATIVE_DATA, input, 0, next, output];
          const status = await onThread(initialize, [...words, Buffer.alloc(4), Buffer.alloc(8)], [given, received]);
          if (isSspiFailure(status)) return { status, token: undefined };
          context = next;
          if (COMPLETE_NEEDED.includes(status)) complete(context, output);
          const length = output.readUInt32LE(16);
          return { status, token: length === 0 ? undefined : Buffer.from(given.subarray(0, length)) };
        },
        release() {
          if (context !== undefined) deleteContext(context);
          freeCredentials(credentials);
        },
      };
    },
  };
}

/** SECURITY_STATUS is an HRESULT: failures have the highest bit. */
export const isSspiFailure = (status: number): boolean => status >= 0x8000_0000;

/** SEC_WINNT_AUTH_IDENTITY_W. `erase` overwrites the password when it was read. */
function identityOf({ user, domain, password }: SspiAccount, addressOf: (bytes: Buffer) => bigint) {
  const layout = Buffer.alloc(48);
  const texts = [user, domain ?? '', password.reveal()].map((one) => Buffer.from(`${one}\0`, 'utf16le'));
  for (const [at, bytes] of texts.entries()) {
    layout.writeBigUInt64LE(addressOf(bytes), at * 16);
    layout.writeUInt32LE(bytes.length / 2 - 1, at * 16 + 8);
  }
  layout.writeUInt32LE(UNICODE, 44);
  return {
    layout,
    texts,
    erase: () => {
      for (const bytes of texts) bytes.fill(0);
    },
  };
}

/** SEC_CHANNEL_BINDINGS: eight numbers, and the application data behind them. */
function channelBindings(binding: Buffer): Buffer {
  const head = Buffer.alloc(32);
  head.writeUInt32LE(binding.length, 24);
  head.writeUInt32LE(head.length, 28);
  return Buffer.concat([head, binding]);
}

import koffi from 'koffi';

/** MIT's own side of a service, with the keys of the keytab that KRB5_KTNAME names: it answers with its own proof. */
export interface Accepted {
  readonly major: number;
  readonly token: Buffer;
}

const BYTES = koffi.struct({ length: 'size_t', value: 'void *' });
const BINDINGS = koffi.struct({
  initiatorType: 'uint32',
  initiator: BYTES,
  acceptorType: 'uint32',
  acceptor: BYTES,
  data: BYTES,
});

/** One token of a client, which must be the only one; `binding` is the channel binding of this side's TLS connection. */
export function accept(token: Buffer, binding?: Buffer): Accepted {
  const library = koffi.load('libgssapi_krb5.so.2');
  const [number, handle] = [koffi.out(koffi.pointer('uint32')), koffi.inout(koffi.pointer('void *'))];
  const acceptContext = library.func('gss_accept_sec_context', 'uint32', [
    ...[number, handle, 'void *', koffi.pointer(BYTES), koffi.pointer(BINDINGS)],
    ...['void *', 'void *', koffi.out(koffi.pointer(BYTES)), 'void *', 'void *', 'void *'],
  ]);
  const deleteContext = library.func('gss_delete_sec_context', 'uint32', [number, handle, 'void *']);
  const none = { length: 0, value: null };
  const bindings = binding && {
    initiatorType: 0,
    initiator: none,
    acceptorType: 0,
    acceptor: none,
    data: { length: binding.length, value: binding },
  };
  const context = [null];
  const given: { length?: number; value?: bigint | null } = {};
  const bytes = { length: token.length, value: token };
  const major: number = acceptContext(
    ...[[0], context, null, bytes, bindings ?? null],
    ...[null, null, given, null, null, null],
  );
  const { length = 0, value = null } = given;
  // What the library allocated is not given back: a test asks a few times.
  const answer = value === null ? Buffer.alloc(0) : Buffer.from(koffi.decode(value, 'uint8', Number(length)));
  deleteContext([0], context, null);
  return { major, token: answer };
}

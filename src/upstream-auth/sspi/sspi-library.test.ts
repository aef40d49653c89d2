import assert from 'node:assert/strict';
import { test } from 'node:test';
import koffi from 'koffi';
import { Secret } from '../../contracts/secret.ts';
import type { loadKoffi } from '../../native/koffi.ts';
import { channelBindingHash } from '../../protocol/tls/channel-binding.ts';
import { openSspiLibrary, type SspiPackage } from './sspi-library.ts';

const CONTINUE_NEEDED = 0x0009_0312;

/** What InitializeSecurityContextW gets of its input, read from memory as Windows reads it (sspi.h, for 64 bits). */
function buffersIn(description: unknown): { kind: number; bytes: Buffer }[] {
  if (!(description instanceof Buffer)) return [];
  const bytesAt = (address: bigint, length: number) => Buffer.from(new Uint8Array(koffi.view(address, length)));
  const count = description.readUInt32LE(4);
  const buffers = bytesAt(description.readBigUInt64LE(8), 16 * count);
  return Array.from({ length: count }, (_, at) => ({
    kind: buffers.readUInt32LE(16 * at + 4),
    bytes: bytesAt(buffers.readBigUInt64LE(16 * at + 8), buffers.readUInt32LE(16 * at)),
  }));
}

/** A secur32.dll that notes the buffers of each round, and always wants another one. */
async function recordingLibrary() {
  const rounds: { kind: number; bytes: Buffer }[][] = [];
  const calls: Readonly<Record<string, (words: readonly unknown[]) => number>> = {
    AcquireCredentialsHandleW: () => 0,
    InitializeSecurityContextW: (words) => {
      rounds.push(buffersIn(words[6]));
      return CONTINUE_NEEDED;
    },
  };
  const func = (name: string) => ({
    async: (...words: unknown[]) => {
      const done = words.at(-1);
      if (typeof done === 'function') done(null, calls[name]?.(words) ?? 0);
    },
  });
  const load = async () => Object.assign(Object.create(koffi), { load: () => ({ func }) });
  const library = await openSspiLibrary('win32', load as typeof loadKoffi);
  assert.ok(!('unavailable' in library));
  return { library, rounds };
}

const TOKEN = 2;
const CHANNEL_BINDINGS = 14;

/** `gss_channel_bindings_struct` of SEC_CHANNEL_BINDINGS: what Windows hashes for MsvAvChannelBindings. */
function applicationDataIn(bindings: Buffer): Buffer {
  assert.equal(bindings.toString('hex', 0, 24), '00'.repeat(24), 'no address of either side');
  const [length, offset] = [bindings.readUInt32LE(24), bindings.readUInt32LE(28)];
  return bindings.subarray(offset, offset + length);
}

test('the channel binding goes with a ticket in the first round, with NTLM beside the challenge, and hashes as that of our own NTLM', async () => {
  const binding = Buffer.from(`tls-server-end-point:${'x'.repeat(32)}`);
  const account = { user: 'alice', domain: 'LAB', password: new Secret('secret') };
  const kindsOf = async (name: SspiPackage) => {
    const { library, rounds } = await recordingLibrary();
    const login = await library.begin(name, account);
    assert.ok('step' in login);
    await login.step('HTTP/proxy.corp', undefined, binding);
    await login.step('HTTP/proxy.corp', Buffer.from('challenge'), binding);
    const [bindings] = rounds.flat().filter(({ kind }) => kind === CHANNEL_BINDINGS);
    assert.ok(bindings !== undefined);
    assert.deepEqual(channelBindingHash(applicationDataIn(bindings.bytes)), channelBindingHash(binding));
    assert.equal(rounds[1]?.[0]?.bytes.toString(), 'challenge');
    return rounds.map((buffers) => buffers.map(({ kind }) => kind));
  };
  assert.deepEqual(await kindsOf('Negotiate'), [[CHANNEL_BINDINGS], [TOKEN, CHANNEL_BINDINGS]]);
  assert.deepEqual(await kindsOf('NTLM'), [[], [TOKEN, CHANNEL_BINDINGS]]);
});

test('without TLS there is no channel binding', async () => {
  const { library, rounds } = await recordingLibrary();
  const login = await library.begin('Negotiate', undefined);
  assert.ok('step' in login);
  await login.step('HTTP/proxy.corp', undefined, undefined);
  await login.step('HTTP/proxy.corp', Buffer.from('challenge'), undefined);
  assert.deepEqual(
    rounds.map((buffers) => buffers.map(({ kind }) => kind)),
    [[], [TOKEN]],
  );
});

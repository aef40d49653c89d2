/**
 * Mutated bytes at listeners for SOCKS, for all protocols, and behind PROXY headers. The process lives, its memory stays, and
 * a client that comes afterwards is served. No rule allows a target, so that nothing is dialled.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLong, MB, residentBytes } from '../support/bulk.ts';
import { viaduct } from '../support/cli.ts';
import { numbers } from '../support/pace.ts';
import { rawClient } from '../support/raw-client.ts';
import { temporaryFolder } from '../support/temporary.ts';

const ROUNDS = isLong ? 60_000 : 1_800;
const AT_ONCE = 60;
const SEED = Number(process.env.VIADUCT_FUZZ_SEED ?? 1);
/** What the heap may gain, which is collected when it pleases. */
const GROWTH_BYTES_MAX = 40 * MB;

const SEEDS: readonly Buffer[] = [
  '\x05\x01\x00\x05\x01\x00\x03\x09a.example\x01\xbb',
  '\x05\x02\x00\x02\x01\x05alice\x06secret\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50',
  '\x05\x01\x00\x05\x03\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50',
  '\x04\x01\x00\x50\xc0\x00\x02\x01me\0',
  '\x04\x01\x00\x50\0\0\0\x01me\0a.example\0',
  'PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nCONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n',
  '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13\xc0\0\x02\x01\xc0\0\x02\x02\xdc\x04\x01\xbb\x03\0\x04abcd\x05\x01\x00',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  'GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n',
].map((text) => Buffer.from(text, 'latin1'));

function mutated(below: (max: number) => number): Buffer {
  const bytes = Buffer.from(SEEDS[below(SEEDS.length)] ?? []);
  for (let left = below(4); left > 0; left--) bytes[below(bytes.length)] = below(256);
  const cut = below(10) < 3 ? bytes.subarray(0, 1 + below(bytes.length)) : bytes;
  return below(10) === 0 ? Buffer.concat([cut, Buffer.alloc(below(5_000), below(256))]) : cut;
}

/** Sends it, ends, and waits for the end of the other side. */
async function attack(port: number, bytes: Buffer, below: (max: number) => number): Promise<void> {
  using client = await rawClient(port);
  client.send(bytes);
  if (below(5) === 0) return client.reset();
  client.end();
  await client.ended();
}

test(`${ROUNDS} mutated beginnings of connections leave the process as it was`, async () => {
  using folder = temporaryFolder();
  const config = {
    listen: ['any://127.0.0.1:0', 'socks5://127.0.0.1:0', { url: 'any://127.0.0.1:0', proxyProtocol: ['127.0.0.1'] }],
    access: [{ default: 'deny' }],
    log: { format: 'off' },
    routes: { pac: 'none' },
  };
  using running = viaduct(['run', '--no-admin', '--config', folder.write('viaduct.json', JSON.stringify(config))]);
  const lines = await running.says(/(?:listening on \S+\n){3}/);
  const ports = [...lines.matchAll(/listening on \S+:(\d+)\n/g)].map(([, port]) => Number(port));
  const below = numbers(SEED);
  const pid = running.child.pid ?? 0;
  const rounds = async (count: number): Promise<void> => {
    for (let done = 0; done < count; done += AT_ONCE) {
      await Promise.all(
        Array.from({ length: AT_ONCE }, (_, at) => attack(ports[at % ports.length] ?? 0, mutated(below), below)),
      );
    }
  };
  await rounds(ROUNDS / 3);
  const before = residentBytes(pid);
  await rounds((ROUNDS * 2) / 3);
  const grown = residentBytes(pid) - before;
  assert.ok(grown < GROWTH_BYTES_MAX, `${grown} bytes more after ${ROUNDS} connections`);
  using client = await rawClient(ports[1] ?? 0);
  client.send(SEEDS[0] ?? '');
  await client.when(({ bytesReceived }) => bytesReceived === 12);
  assert.equal(client.received.toString('hex'), '050005020001000000000000');
});

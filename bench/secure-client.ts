/**
 * The clients of secure.ts, in a process of their own: `MODE PORT FAR TUNNELS AMOUNT`. Prints one line of JSON.
 *
 *   tls-down, h2-down     AMOUNT bytes down through each of TUNNELS; in HTTP/2 all on one connection
 *   tls-setup, h2-setup   AMOUNT tunnels one after another, each closed before the next one
 *   h2-idle               AMOUNT connections with TUNNELS each, open until standard input ends
 */
import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from 'node:http2';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';

const [mode = '', port = '', far = '', tunnels = '', amount = ''] = process.argv.slice(2);
const authority = `127.0.0.1:${far}`;
const count = Number(tunnels);
const each = Number(amount);

async function tlsTunnel(): Promise<Duplex> {
  const socket = connectTls({ port: Number(port), host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  const [head] = await once(socket, 'data');
  if (!/^HTTP\/1\.[01] 200/.test(String(head))) throw new Error(String(head));
  return socket;
}

async function session(): Promise<ClientHttp2Session> {
  const opened = connectHttp2(`https://127.0.0.1:${port}`, {
    rejectUnauthorized: false,
    settings: { initialWindowSize: 4 * 1024 * 1024 },
  });
  await once(opened, 'connect');
  opened.setLocalWindowSize(64 * 1024 * 1024);
  return opened;
}

async function streamOf(of: ClientHttp2Session): Promise<ClientHttp2Stream> {
  const stream = of.request({ ':method': 'CONNECT', ':authority': authority });
  const [head] = await once(stream, 'response');
  if (head[':status'] !== 200) throw new Error(String(head[':status']));
  return stream;
}

/** Resolves when so many bytes have come. */
function drain(from: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = each;
    from.on('error', reject).on('data', (chunk: Buffer) => {
      left -= chunk.length;
      if (left <= 0) resolve();
    });
    // How the origin of the benchmark is asked for so many bytes.
    from.write(`${each}\n`);
  });
}

async function download(open: () => Promise<Duplex>): Promise<void> {
  const all = await Promise.all(Array.from({ length: count }, open));
  const fromMs = performance.now();
  await Promise.all(all.map(drain));
  report({ bytes: each * count, seconds: (performance.now() - fromMs) / 1_000 });
  process.exit(0);
}

async function setup(open: () => Promise<Duplex>): Promise<void> {
  const fromMs = performance.now();
  for (let at = 0; at < each; at++) {
    const tunnel = await open();
    const closed = once(tunnel, 'close');
    tunnel.destroy();
    await closed;
  }
  report({ tunnels: each, seconds: (performance.now() - fromMs) / 1_000 });
  process.exit(0);
}

async function idle(): Promise<void> {
  for (let at = 0; at < each; at++) {
    const one = await session();
    await Promise.all(Array.from({ length: count }, () => streamOf(one)));
  }
  report({ tunnels: each * count });
  process.stdin.on('end', () => process.exit(0)).resume();
}

function report(numbers: Readonly<Record<string, number>>): void {
  process.stdout.write(`${JSON.stringify(numbers)}\n`);
}

if (mode === 'tls-down') await download(tlsTunnel);
else if (mode === 'tls-setup') await setup(tlsTunnel);
else if (mode === 'h2-idle') await idle();
else {
  const one = await session();
  if (mode === 'h2-down') await download(() => streamOf(one));
  else await setup(() => streamOf(one));
}

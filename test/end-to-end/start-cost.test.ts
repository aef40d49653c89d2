/** What a start costs: the modules of Node that it loads before it listens, and the memory that it leaves. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { loadAddon } from '../../src/native/addon.ts';
import { type Running, viaduct } from '../support/cli.ts';
import { rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { until } from '../support/until.ts';

const SERVE = ['--port', '0', '--admin', 'localhost:0'];

/** Writes what Node has loaded into a file when the command says that it listens. */
const NOTE = `
const { stderr } = process;
const { write } = stderr;
stderr.write = function (text, ...more) {
  if (String(text).startsWith('listening on ')) {
    stderr.write = write;
    require('node:fs').writeFileSync(process.env.LOADED, JSON.stringify(process.moduleLoadList));
  }
  return write.call(this, text, ...more);
};
`;

/** Each takes a twentieth of the time of a start or more. */
const LATER = [
  'crypto',
  'tls',
  'http',
  'https',
  'http2',
  'cluster',
  'child_process',
  'perf_hooks',
  'worker_threads',
  'zlib',
];

test('a start on loopback loads no module of Node before it listens that it needs only later', async () => {
  using folder = temporaryFolder();
  const home = { HOME: folder.path, XDG_STATE_HOME: folder.path, XDG_CACHE_HOME: folder.path };
  // The first one of a user makes its keys.
  using first = viaduct(SERVE, home);
  await first.says('dashboard on ');
  const loaded = join(folder.path, 'loaded.json');
  const options = `--require ${folder.write('note.cjs', NOTE)}`;
  using second = viaduct(SERVE, { ...home, LOADED: loaded, NODE_OPTIONS: options });
  await second.says('dashboard on ');
  const modules: readonly string[] = JSON.parse(readFileSync(loaded, 'utf8'));
  assert.ok(modules.includes('NativeModule net'));
  assert.deepEqual(
    LATER.filter((name) => modules.includes(`NativeModule ${name}`)),
    [],
  );
});

const anonymousMiB = ({ child }: Running): number =>
  Number(/^Pss_Anon:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/smaps_rollup`, 'utf8'))?.[1]) / 1024;
/** An empty Node has 8 MiB. */
const ANONYMOUS_MIB_MAX = 24;

test('a proxy that has served nothing yet has at most 24 MiB of its own, once its start is over', {
  skip: process.platform !== 'linux' && 'memory is read from /proc',
}, async () => {
  using folder = temporaryFolder();
  const home = { HOME: folder.path, XDG_STATE_HOME: folder.path, XDG_CACHE_HOME: folder.path };
  using proxy = viaduct(SERVE, home);
  await proxy.says('dashboard on ');
  await until(() => anonymousMiB(proxy) <= ANONYMOUS_MIB_MAX, 'what the start has left in the heap was given back');
  // It serves as any other.
  using client = await rawClient(await proxy.port());
  client.send(connectTo('127.0.0.1:1'));
  assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 502 /);
});

const CLIENTS = 16;
const REQUESTS_EACH = 250;
const RESPONSE_END = '\r\n\r\nok';

/** Has a proxy serve some thousand plain requests. */
async function serveThousands(proxy: Running): Promise<void> {
  let requests = 0;
  const origin = createServer((_request, response) => {
    requests += 1;
    response.end('ok');
  });
  await once(origin.listen(0, '127.0.0.1'), 'listening');
  const address = origin.address();
  assert.ok(address !== null && typeof address === 'object');
  try {
    const port = await proxy.port();
    const target = `127.0.0.1:${address.port}`;
    const request = `GET http://${target}/ HTTP/1.1\r\nHost: ${target}\r\n\r\n`;
    const serveOne = async () => {
      using client = await rawClient(port);
      for (let n = 0; n < REQUESTS_EACH; n++) {
        client.send(request);
        await client.until(RESPONSE_END);
        client.forget(client.bytesReceived);
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, serveOne));
    assert.equal(requests, CLIENTS * REQUESTS_EACH);
  } finally {
    origin.close();
    origin.closeAllConnections();
  }
}

/** V8's own collection would begin within it: eight seconds after the last one. */
const PAUSE_MS = 10_000;

test('a pause of some seconds has nothing collected at the cost of compiled code, which the next requests would miss', async () => {
  using folder = temporaryFolder();
  const trace = folder.write('trace.cjs', "require('node:v8').setFlagsFromString('--trace-gc')");
  const home = { HOME: folder.path, XDG_STATE_HOME: folder.path, XDG_CACHE_HOME: folder.path };
  using proxy = viaduct([...SERVE, '--log', 'off'], { ...home, NODE_OPTIONS: `--require ${trace}` });
  let printed = '';
  proxy.child.stdout?.setEncoding('latin1').on('data', (text: string) => (printed += text));
  await serveThousands(proxy);
  await until(() => printed.includes('Scavenge'), 'the requests have had their young objects collected');
  const before = printed.length;
  await wait(PAUSE_MS);
  assert.ok(!printed.slice(before).includes('Mark-Compact'), printed.slice(before));
});

/** What they have had compiled stays. V8 of Node 22 keeps more of its heap. */
const SERVED_MIB_MAX = Number.parseInt(process.versions.node, 10) >= 24 ? 34 : 46;
const RETURNED_MS_MAX = 90_000;

// It takes more than a minute.
if (process.env.VIADUCT_LONG === '1') {
  test('a proxy that has served thousands of requests gives back what they took, when it has been idle for a minute', {
    skip: loadAddon().addon === undefined && 'the addon returns memory, and is not built',
  }, async () => {
    using folder = temporaryFolder();
    const home = { HOME: folder.path, XDG_STATE_HOME: folder.path, XDG_CACHE_HOME: folder.path };
    using proxy = viaduct(SERVE, home);
    await serveThousands(proxy);
    assert.ok(anonymousMiB(proxy) > SERVED_MIB_MAX, 'they took less than what is to remain');
    await until(() => anonymousMiB(proxy) <= SERVED_MIB_MAX, 'what they have left was given back', RETURNED_MS_MAX);
  });
}

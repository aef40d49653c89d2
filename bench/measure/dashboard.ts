import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { connectTo } from '../../test/support/requests.ts';
import { startInstance } from '../instance.ts';
import { type Measurement, type Size, sized } from '../measurement.ts';
import type { Peer } from '../peer.ts';
import { viaduct, viaductOf } from '../peers/viaduct.ts';
import { cpuSeconds } from '../process-tree.ts';

const BYTES_PER_SECOND = 50 * 1_048_576;
/** The traffic is sent in pieces, as often as this. */
const PIECE_MS = 100;

const tunnelsOf = (size: Size): number => sized(size, 5_000, 5_000, 20);
const busyOf = (size: Size): number => sized(size, 200, 200, 5);
const windowMsOf = (size: Size): number => sized(size, 10_000, 5_000, 300);
/** In turn without a viewer and with one, so that other load on the machine affects both. */
const WINDOWS = 3;
/** After a viewer has come it gets all rows; what is measured is what follows. */
const SETTLE_MS = 3_000;
/** Tunnels that are opened at the same time. */
const AT_ONCE = 64;

const CHROMIUM = '/usr/bin/chromium';
const TOKEN = 'token-of-a-benchmark-0123456789';
const MORE = 'more with an open dashboard';
const MORE_EVENTS = 'more with a reader of /api/events';
const ALONE = '5,000 tunnels, 200 moving 50 MiB/s';

/** Only Viaduct has a dashboard. */
export const dashboard: Measurement = {
  name: 'dashboard',
  how: (size) =>
    `dashboard: CPU of the proxy alone, as a part of one core, with ${tunnelsOf(size)} open tunnels, ${busyOf(size)} of which move ${BYTES_PER_SECOND / 1_048_576} MiB/s together, over ${WINDOWS} windows of ${windowMsOf(size) / 1000} s without a viewer and as many with one; the open dashboard is its live table in Chromium (a reader of /api/events where that is missing)`,
  on: 'shared',
  metrics: [
    { name: ALONE, unit: '% of a core', better: 'lower', digits: 1 },
    { name: MORE_EVENTS, unit: '% of a core', better: 'lower', digits: 1 },
    { name: MORE, unit: '% of a core', better: 'lower', digits: 1 },
  ],
  async round({ peer }, size) {
    if (peer.name !== viaduct.name) return {};
    const adminPort = await freePort();
    await using proxy = await startInstance(withAdmin(adminPort));
    await using traffic = await startTraffic(proxy.port, tunnelsOf(size), busyOf(size));
    await traffic.opened;
    const origin = `http://127.0.0.1:${adminPort}`;
    const events = await compare(proxy.pid, size, () => readEvents(origin));
    const page = size === 'tiny' || !existsSync(CHROMIUM) ? readEvents : openDashboard;
    const shown = await compare(proxy.pid, size, () => page(origin));
    return { [ALONE]: events.without, [MORE_EVENTS]: events.more, [MORE]: shown.more };
  },
};

const withAdmin = (port: number): Peer => {
  const peer = viaductOf({ admin: { listen: `127.0.0.1:${port}`, token: 'env:BENCH_TOKEN' } });
  return {
    ...peer,
    prepare(at) {
      const launch = peer.prepare(at);
      return { ...launch, env: { ...launch.env, BENCH_TOKEN: TOKEN } };
    },
  };
};

/** CPU as a part of a core, in percent: without the viewer, and how much more with it. */
async function compare(
  pid: number,
  size: Size,
  view: () => Promise<AsyncDisposable>,
): Promise<{ without: number; more: number }> {
  const sums = { without: 0, with: 0 };
  for (let at = 0; at < WINDOWS; at++) {
    sums.without += await percentOf(pid, windowMsOf(size));
    await using _viewer = await view();
    await sleep(size === 'tiny' ? 0 : SETTLE_MS);
    sums.with += await percentOf(pid, windowMsOf(size));
  }
  return { without: sums.without / WINDOWS, more: (sums.with - sums.without) / WINDOWS };
}

async function percentOf(pid: number, windowMs: number): Promise<number> {
  const before = cpuSeconds(pid);
  const fromMs = performance.now();
  await sleep(windowMs);
  return ((cpuSeconds(pid) - before) / ((performance.now() - fromMs) / 1000)) * 100;
}

/** Reads what the dashboard reads, and looks at nothing. */
async function readEvents(origin: string): Promise<AsyncDisposable> {
  const stop = new AbortController();
  const headers = { authorization: `Bearer ${TOKEN}`, accept: 'text/event-stream' };
  const response = await fetch(`${origin}/api/events`, { headers, signal: stop.signal });
  if (!response.ok || response.body === null) throw new Error(`the events are answered with ${response.status}`);
  const reader = response.body.getReader();
  const read = (async () => {
    while (!(await reader.read()).done);
  })().catch(() => undefined);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await read;
    },
  };
}

/** The live table in a browser. */
async function openDashboard(origin: string): Promise<AsyncDisposable> {
  const flags = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'];
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: flags });
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  await page.addInitScript(`sessionStorage.setItem('viaduct.token', ${JSON.stringify(TOKEN)})`);
  await page.goto(`${origin}/#/live`);
  await page.getByText('127.0.0.1').first().waitFor();
  return { [Symbol.asyncDispose]: () => browser.close() };
}

interface Traffic extends AsyncDisposable {
  readonly opened: Promise<unknown>;
}

/** Open tunnels to an origin that sends through the first of them, at a steady rate. */
async function startTraffic(proxyPort: number, tunnels: number, busy: number): Promise<Traffic> {
  const accepted = new Set<Socket>();
  const server = createServer((socket) => {
    accepted.add(socket.on('error', () => socket.destroy()).resume());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const piece = Buffer.alloc((BYTES_PER_SECOND * PIECE_MS) / 1000 / busy);
  const timer = setInterval(() => {
    let left = busy;
    for (const socket of accepted) if (left-- > 0) socket.write(piece);
  }, PIECE_MS);
  const clients: Socket[] = [];
  const openNext = async (): Promise<void> => {
    while (clients.length < tunnels) {
      const client = connect(proxyPort, '127.0.0.1').on('error', () => client.destroy());
      clients.push(client);
      await once(client, 'connect');
      client.write(connectTo(`127.0.0.1:${port}`));
      await once(client, 'data');
      client.resume();
    }
  };
  return {
    opened: Promise.all(Array.from({ length: AT_ONCE }, openNext)),
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      for (const socket of [...clients, ...accepted]) socket.destroy();
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

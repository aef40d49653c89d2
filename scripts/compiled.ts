/**
 * Compiles the command for the Node that builds it: starts it and sends it a few requests, and keeps in `dist/compiled/` what V8 has
 * compiled meanwhile. A start with it takes less than half the time, the first one, too. Another Node compiles the code itself, and
 * keeps that in the user's cache (scripts/entry.ts). No package has it: packages are for every Node.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startText } from './entry.ts';
import { ROOT } from './tools.ts';

/** From the start until what is compiled is kept: time for the requests. */
const KEEP_AFTER_MS = 700;
/** A machine on which it takes longer goes without. */
const GIVE_UP_MS = 20_000;
const COMPILED = `${ROOT}dist/compiled`;
const SCRIPTS = ['command', 'packages'];

/** Without it everything works; a start takes longer. */
export function keepCompiled(build: string): void {
  rmSync(COMPILED, { recursive: true, force: true });
  const { status, stderr } = spawnSync(process.execPath, [import.meta.filename, build], {
    encoding: 'utf8',
    timeout: 2 * GIVE_UP_MS,
  });
  if (status === 0) return;
  process.stdout.write(
    `what V8 compiles at a start is not kept (${stderr.trim().split('\n').at(-1)}); starts take longer\n`,
  );
}

async function main(build: string): Promise<void> {
  const folder = mkdtempSync(`${ROOT}.cache/compiled-`);
  const start = `${ROOT}dist/start-${process.pid}.js`;
  try {
    writeFileSync(start, startText(build, KEEP_AFTER_MS));
    const kept = (name: string) =>
      join(folder, 'viaduct', `compile-${build}`, `${name}-${process.version}-${process.arch}`);
    const settings = join(folder, 'viaduct', `compile-${build}`, `settings-${process.version}`);
    writeFileSync(join(folder, 'viaduct.yaml'), 'port: 0\nadmin: { listen: localhost:0 }\n');
    // The packages that a configuration file needs; then the settings; then a start that has nothing to check.
    await startUntil(start, folder, ['--config', join(folder, 'viaduct.yaml')], kept('packages'));
    await startUntil(start, folder, ['--port', '0', '--admin', 'localhost:0'], settings);
    rmSync(kept('command'), { force: true });
    await startUntil(start, folder, ['--port', '0', '--admin', 'localhost:0'], kept('command'));
    mkdirSync(COMPILED, { recursive: true });
    for (const name of SCRIPTS) {
      const path = `${COMPILED}/${name}-${process.version}-${process.arch}-${build}`;
      copyFileSync(kept(name), path);
      // There it is twice, and for one user.
      truncateSync(path, statSync(path).size / 2);
      chmodSync(path, 0o644);
    }
  } finally {
    rmSync(start, { force: true });
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Until it has left that file. */
async function startUntil(start: string, folder: string, words: readonly string[], path: string): Promise<void> {
  const env = { HOME: folder, XDG_CACHE_HOME: folder, XDG_CONFIG_HOME: folder, XDG_STATE_HOME: folder };
  const child = spawn(process.execPath, [start, 'run', ...words, '--log', 'json'], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  try {
    await sendRequests(await portOf(child));
    const giveUpMs = Date.now() + GIVE_UP_MS;
    while (!existsSync(path)) {
      if (child.exitCode !== null || Date.now() > giveUpMs) throw new Error(`${path} was not written`);
      await sleep(20);
    }
  } finally {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
  }
}

async function portOf(child: ChildProcess): Promise<number> {
  let said = '';
  for await (const chunk of child.stderr ?? []) {
    said += chunk;
    const port = /listening on http:\/\/127\.0\.0\.1:(\d+)\n/.exec(said)?.[1];
    if (port !== undefined) return Number(port);
  }
  throw new Error(`it has not started: ${said}`);
}

/** One tunnel and one plain request, to a server of our own. */
async function sendRequests(port: number): Promise<void> {
  const server = createServer((socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const origin = `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  try {
    const tunnel = await sent(port, `CONNECT ${origin} HTTP/1.1\r\nHost: ${origin}\r\n\r\n`);
    tunnel.end('x');
    await once(tunnel.resume(), 'close');
    const plain = await sent(port, `GET http://${origin}/ HTTP/1.1\r\nHost: ${origin}\r\nConnection: close\r\n\r\n`);
    if (!plain.closed) await once(plain.resume(), 'close');
  } finally {
    server.close();
  }
}

/** When something has come back. */
async function sent(port: number, request: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.write(request);
  await once(socket, 'data');
  return socket;
}

if (import.meta.main) await main(process.argv[2] ?? '');

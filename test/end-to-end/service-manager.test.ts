/** What a service manager does with the built command: passes sockets, waits until it is ready, watches it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { resolveOptions } from '../../src/config/schema.ts';
import { loadAddon } from '../../src/native/addon.ts';
import { freePorts } from '../lab/daemon.ts';
import { builtCommand, viaduct, viaductEnds } from '../support/cli.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { RawPeer, rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { missing } from '../support/requires.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { until } from '../support/until.ts';

const WITHOUT_ADDON = loadAddon().addon === undefined && 'the addon is not built';

async function unixClient(path: string): Promise<RawPeer> {
  const socket = connect({ path, allowHalfOpen: true });
  await once(socket, 'connect');
  return new RawPeer(socket);
}

/** Starts a proxy as systemd does for a unit with sockets: with the first connection. */
function activated(words: readonly string[], sockets: readonly string[]) {
  const listen = sockets.flatMap((socket) => ['-l', socket]);
  const home = [
    '-E',
    'HOME=/tmp',
    '-E',
    'XDG_CONFIG_HOME=/nonexistent',
    '-E',
    `XDG_STATE_HOME=/tmp/viaduct-tests-${process.pid}`,
  ];
  const command = [process.execPath, builtCommand(), 'run', '--no-admin', '--pac', 'none', ...words];
  const child = spawn('systemd-socket-activate', [...listen, ...home, ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  return {
    child,
    says: (text: string) => until(() => err.includes(text), `${text} in ${err}`),
    get err() {
      return err;
    },
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'close');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

test('systemd-socket-activate: the proxy serves the socket that it was passed', {
  skip: missing('systemd'),
}, async () => {
  using folder = temporaryFolder();
  await using origin = await RawOrigin.listen(echo);
  const path = join(folder.path, 'v.sock');
  await using service = activated(['--listen', 'systemd', '--open'], [path]);
  await service.says('Listening on');
  const client = await unixClient(path);
  client.send(`${connectTo(origin.authority)}there and back`);
  // An exposed listener, which the socket of a service counts as, opens tunnels to port 443 alone.
  assert.match(await client.until('\r\n'), /^HTTP\/1\.1 403 denied: a rule of this proxy does not allow 127\.0\.0\.1:/);
  client.socket.destroy();
  assert.match(service.err, /listening on systemd\n/);
  // The programs that the proxy starts do not get the socket.
  if (!WITHOUT_ADDON) assert.match(readFileSync(`/proc/${service.child.pid}/fdinfo/3`, 'utf8'), /flags:\s+02\d{6}/);
  const environment = readFileSync(`/proc/${service.child.pid}/environ`, 'utf8');
  assert.match(environment, /LISTEN_FDS=1/);
});

test('a TCP socket of systemd has its own address, and the protocol that its settings name', {
  skip: missing('systemd'),
}, async () => {
  using folder = temporaryFolder();
  const [port = 0] = await freePorts(1);
  const file = folder.write(
    'viaduct.yaml',
    'listen: { url: systemd, protocol: any }\nclients: { allow: [127.0.0.1] }\n',
  );
  await using service = activated(['--config', file], [`127.0.0.1:${port}`]);
  await service.says('Listening on');
  const client = await rawClient(port);
  // The port of the proxy itself is refused, as on any listener.
  client.send(Buffer.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255]));
  await client.when(({ bytesReceived }) => bytesReceived === 12);
  assert.equal(client.received.toString('hex'), '050005020001000000000000');
  client.socket.destroy();
  await service.says(`listening on any://127.0.0.1:${port}\n`);
});

test('a listener takes the socket of systemd that is bound to its address, and judges clients as on any other', {
  skip: missing('systemd'),
}, async () => {
  await using origin = await RawOrigin.listen(echo);
  const [port = 0, other = 0] = await freePorts(2);
  await using service = activated(['--port', `${port}`], [`127.0.0.1:${other}`, `127.0.0.1:${port}`]);
  await service.says('Listening on');
  const client = await rawClient(port);
  client.send(connectTo(origin.authority));
  // On loopback every port is open; with its own socket beside that of systemd the proxy could not have listened.
  assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 200 /);
  client.socket.destroy();
  await service.says(`listening on http://127.0.0.1:${port}\n`);
  await service.says('systemd has passed systemd:0, and no listener takes it');
});

test('a socket that no listener takes is reported, and one that was not passed is an error', {
  skip: missing('systemd'),
}, async () => {
  using folder = temporaryFolder();
  const paths = [join(folder.path, 'a.sock'), join(folder.path, 'b.sock')];
  await using service = activated(['--listen', 'systemd:1', '--open'], paths);
  await service.says('Listening on');
  const client = await unixClient(paths[1] ?? '');
  client.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await client.until('HTTP/1.1');
  client.socket.destroy();
  await service.says('systemd has passed systemd:0, and no listener takes it; add it to listen');
});

test('variables that are meant for another process are no sockets', async () => {
  const { code, err } = await viaductEnds(['run', '--listen', 'systemd', '--open', '--no-admin', '--pac', 'none'], {
    LISTEN_PID: '1',
    LISTEN_FDS: '1',
  });
  assert.equal(code, 2);
  assert.match(err, /cannot listen on systemd: the service manager has passed no such socket, but: none/);
});

test('sockets of systemd count as exposed, and go to one process', async () => {
  const { code, err } = await viaductEnds(['check', '--listen', 'systemd', '--workers', '2']);
  assert.equal(code, 2);
  assert.match(err, /everyone who reaches the socket of the service manager could use this proxy/);
  assert.match(err, /systemd passes its sockets to one process: set workers to 1/);
});

/** What a program has sent to the socket that stands for systemd. */
function manager(path: string) {
  const child = spawn('socat', ['-u', `UNIX-RECV:${path}`, 'STDOUT'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return {
    get text() {
      return text;
    },
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  };
}

test('systemd learns when the proxy serves, that its loop turns, and when it stops', {
  skip: missing('socat') || WITHOUT_ADDON,
}, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'notify');
  using systemd = manager(path);
  await until(() => existsSync(path), 'the socket of the manager');
  using running = viaduct(['run', '--port', '0', '--no-admin', '--pac', 'none'], {
    NOTIFY_SOCKET: path,
    WATCHDOG_USEC: '100000',
  });
  await running.port();
  await until(() => /^READY=1\n(?:WATCHDOG=1\n){3}/.test(systemd.text), 'READY and three signs of life');
  running.child.kill('SIGTERM');
  await running.ended;
  await until(() => systemd.text.includes('STOPPING=1\n'), 'STOPPING');
});

test('a watchdog that is meant for another process is not fed', {
  skip: missing('socat') || WITHOUT_ADDON,
}, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'notify');
  using systemd = manager(path);
  await until(() => existsSync(path), 'the socket of the manager');
  const environment = { NOTIFY_SOCKET: path, WATCHDOG_USEC: '20000', WATCHDOG_PID: '1' };
  using running = viaduct(['run', '--port', '0', '--no-admin', '--pac', 'none'], environment);
  await until(() => systemd.text.includes('READY=1\n'), 'READY');
  // Ten times as long as a watchdog would be silent.
  await wait(100);
  assert.equal(systemd.text, 'READY=1\n');
  running.child.kill('SIGTERM');
  await running.ended;
});

test('without the addon systemd-notify says that the proxy serves', { skip: missing('socat', 'systemd') }, async () => {
  using folder = temporaryFolder();
  const dist = join(folder.path, 'dist');
  // The folder itself: compiled tests have a link to it, and a copy of the link would lose the addon of all.
  cpSync(realpathSync(dirname(builtCommand())), dist, { recursive: true });
  rmSync(join(dist, 'native'), { recursive: true, force: true });
  const path = join(folder.path, 'notify');
  using systemd = manager(path);
  await until(() => existsSync(path), 'the socket of the manager');
  const command = [join(dist, 'cli.js'), 'run', '--port', '0', '--no-admin', '--pac', 'none'];
  const env = { PATH: process.env.PATH ?? '', HOME: folder.path, XDG_CONFIG_HOME: '/nonexistent', NOTIFY_SOCKET: path };
  const child = spawn(process.execPath, command, { env, stdio: 'ignore' });
  await until(() => systemd.text.includes('READY=1'), 'READY');
  const ended = once(child, 'close');
  child.kill('SIGKILL');
  await ended;
});

test('a Unix socket has the mode and the group of its settings, before and after a reload', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'v.sock');
  const group = process.getgid?.() ?? 0;
  const listen = (mode: string | undefined) => ({
    listen: { url: `unix:${path}`, mode, group: `${group}`, protocol: 'any' as const },
  });
  await using proxy = await ProxyUnderTest.start(listen(undefined));
  const modeOf = () => [(statSync(path).mode & 0o777).toString(8), statSync(path).gid];
  assert.deepEqual(modeOf(), ['660', group]);
  await proxy.proxy.reload(resolveOptions({ ...listen('0600'), log: { format: 'off' } }));
  assert.deepEqual(modeOf(), ['600', group]);
  await using origin = await RawOrigin.listen(echo);
  const client = await unixClient(path);
  client.send(Buffer.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, origin.port >> 8, origin.port & 255]));
  await client.when(({ bytesReceived }) => bytesReceived === 12);
  client.send('hello');
  await client.until('hello');
  client.end();
  await client.ended();
  const { client: who, protocol } = await proxy.record();
  assert.deepEqual([who.listener, who.address, protocol], [`unix:${path}`, '', 'socks5']);
});

test('a PROXY header over a Unix socket names a client that clients.allow judges', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'v.sock');
  await using _proxy = await ProxyUnderTest.start({
    listen: { url: `unix:${path}`, proxyProtocol: 'unix' },
    clients: { allow: ['192.0.2.1'] },
  });
  for (const [address, status] of [
    ['192.0.2.1', '200'],
    ['192.0.2.2', '403'],
  ]) {
    const client = await unixClient(path);
    client.send(`PROXY TCP4 ${address} 192.0.2.9 1 2\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    assert.match(await client.until('\r\n'), new RegExp(`^HTTP/1\\.1 ${status} `), address);
    client.socket.destroy();
  }
});

const MISTAKES: readonly (readonly [file: string, message: RegExp])[] = [
  [
    'listen: { url: localhost:0, mode: "0660" }\n',
    /127\.0\.0\.1:0 has no file: mode, owner and group are for unix:\/PATH/,
  ],
  [
    'listen: { url: "unix:/tmp/v.sock", mode: 660 }\n',
    /listen\.mode: is not a mode in quotes; write for example "0660"/,
  ],
  [
    'listen: { url: "socks5://localhost:0", protocol: http }\n',
    /listen\.protocol: differs from the scheme of the URL; keep one of the two/,
  ],
  [
    'listen: { url: "socks5://localhost:0", h2c: true }\n',
    /h2c is for http:\/\/ and any:\/\/, and socks5:\/\/ has no HTTP\/2; remove it/,
  ],
  ['listen: { url: "unix:/tmp/v.sock", group: no-such-group }\n', /there is no group "no-such-group" in \/etc\/group/],
  [
    'listen: { url: "unix:/tmp/v.sock", proxyProtocol: 10.0.0.1 }\n',
    /peers without an address: write proxyProtocol: unix/,
  ],
  ['listen: { url: "localhost:0", proxyProtocol: unix }\n', /has no peers of a Unix socket: name addresses/],
  [
    'listen: [{ url: "localhost:0", proxyProtocal: 10.0.0.1 }]\n',
    /listen\[0\]\.proxyProtocal: no such setting; did you mean proxyProtocol\?/,
  ],
];
for (const [file, message] of MISTAKES) {
  test(`check names the mistake in ${file.trim()}`, async () => {
    using folder = temporaryFolder();
    const { code, err } = await viaductEnds(['check', folder.write('viaduct.yaml', file)]);
    assert.equal(code, 2);
    assert.match(err, message);
  });
}

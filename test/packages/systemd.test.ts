/** deploy/systemd/: the service of the machine. systemd judges the unit; the program starts by its configuration and socket. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePorts } from '../lab/daemon.ts';
import { builtCommand } from '../support/cli.ts';
import { rawClient } from '../support/raw-client.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { until } from '../support/until.ts';

const FOLDER = new URL('../../deploy/systemd/', import.meta.url).pathname;
const read = (name: string): string => readFileSync(join(FOLDER, name), 'utf8');
/** From 0 (nothing is open to it) to 10. */
const EXPOSURE_MAX = 2;

test('systemd finds nothing wrong with service and socket, and their exposure is at most 2.0', {
  skip: missing('systemd'),
}, async () => {
  using folder = temporaryFolder();
  // The program of the package is not installed here.
  const service = folder.write(
    'viaduct.service',
    read('viaduct.service').replace('/usr/bin/viaduct', process.execPath),
  );
  const socket = folder.write('viaduct.socket', read('viaduct.socket'));
  const verified = await run('systemd-analyze', ['verify', '--man=no', service, socket]);
  assert.deepEqual([verified.code, `${verified.out}${verified.err}`], [0, '']);
  const judged = await run('systemd-analyze', ['security', '--offline=true', '--threshold=20', service]);
  assert.equal(judged.code, 0, judged.out);
  const exposure = Number(/exposure level for viaduct\.service: ([\d.]+)/.exec(judged.out)?.[1]);
  assert.ok(exposure <= EXPOSURE_MAX, String(exposure));
});

test('the program serves the socket of the unit by the configuration that the package brings', {
  skip: missing('systemd'),
}, async () => {
  using folder = temporaryFolder();
  const [port = 0] = await freePorts(1);
  const config = folder.write('viaduct.yaml', read('viaduct.yaml').concat('admin: false\n'));
  const name = /^FileDescriptorName=(\w+)$/m.exec(read('viaduct.socket'))?.[1] ?? '';
  const words = ['-l', `127.0.0.1:${port}`, `--fdname=${name}`, '-E', `XDG_STATE_HOME=${folder.path}`];
  const command = [process.execPath, builtCommand(), 'run', '--config', config];
  const service = spawn('systemd-socket-activate', [...words, ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
  let err = '';
  service.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  try {
    await until(() => err.includes('Listening on'), 'the socket is open');
    using client = await rawClient(port);
    client.send('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    assert.match(await client.until('\r\n'), /^HTTP\/1\.1 200 /);
    assert.match(err, /listening on http:\/\/127\.0\.0\.1:\d+\n/);
  } finally {
    const ended = once(service, 'close');
    service.kill('SIGKILL');
    await ended;
  }
});

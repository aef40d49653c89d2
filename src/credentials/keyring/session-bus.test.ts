import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { leavesNothing } from '../../../test/support/no-leaks.ts';
import { temporaryFolder } from '../../../test/support/temporary.ts';
import { BusError, SessionBus, sessionBusPath } from './session-bus.ts';

test('the bus is where its address says, or in the runtime folder', () => {
  const path = (DBUS_SESSION_BUS_ADDRESS: string, XDG_RUNTIME_DIR = '/run/user/7') =>
    sessionBusPath({ DBUS_SESSION_BUS_ADDRESS, XDG_RUNTIME_DIR });
  assert.equal(path(''), '/run/user/7/bus');
  assert.equal(path('unix:path=/run/user/7/bus,guid=0123'), '/run/user/7/bus');
  assert.equal(path('unix:guid=0123,path=/tmp/a%20b;tcp:host=x'), '/tmp/a b');
  assert.equal(path('unix:abstract=/tmp/dbus-x'), '\0/tmp/dbus-x');
  assert.equal(path('unix:runtime=yes'), '/run/user/7/bus');
  assert.equal(path('', ''), undefined);
});

test('an address that would start a bus, or lead elsewhere, is none', () => {
  for (const address of [
    'autolaunch:',
    'autolaunch:;unix:path=/run/bus',
    'unixexec:path=/usr/bin/bus',
    'tcp:host=localhost,port=1',
    'unix:tmpdir=/tmp',
    'nonsense',
  ]) {
    assert.equal(sessionBusPath({ DBUS_SESSION_BUS_ADDRESS: address }), undefined, address);
  }
});

/** Answers each connection with fixed bytes. */
async function listening(path: string, answer: string | undefined): Promise<AsyncDisposable> {
  const server = createServer((socket) => {
    socket.on('error', () => {}).resume();
    if (answer !== undefined) socket.write(answer);
  }).listen(path);
  await once(server, 'listening');
  return server;
}

test(
  'a peer that is not a bus is an error, and leaves nothing open',
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const path = `${folder.path}/bus`;
    const never = new AbortController().signal;
    await assert.rejects(SessionBus.open(path, never), BusError);
    for (const answer of ['REJECTED EXTERNAL\r\n', 'x'.repeat(2000), 'OK 1\r\nHTTP/1.1 400 Bad Request\r\n']) {
      await using _server = await listening(path, answer);
      await assert.rejects(SessionBus.open(path, never), BusError, answer.slice(0, 20));
    }
  }),
);

test(
  'a bus that says nothing is given up when the signal aborts',
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const path = `${folder.path}/bus`;
    await using _server = await listening(path, undefined);
    const ended = new AbortController();
    const opening = SessionBus.open(path, ended.signal);
    ended.abort();
    await assert.rejects(opening, BusError);
    await assert.rejects(SessionBus.open(path, ended.signal), BusError);
  }),
);

/** A rejected secret stays latched over restarts, workers and other commands, until it changes or a person lifts it. */
import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { AuthenticatingProxy, asks, BASIC } from '../support/authenticating-proxy.ts';
import { type Running, viaduct, viaductEnds } from '../support/cli.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { rawClient } from '../support/raw-client.ts';
import { temporaryFolder } from '../support/temporary.ts';

const proofs = ({ requests }: AuthenticatingProxy): number =>
  requests.filter(({ credentials }) => credentials !== undefined).length;

async function portOf(running: Running): Promise<number> {
  return running.port();
}

async function connectThrough(port: number): Promise<string> {
  using client = await rawClient(port);
  client.send('CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n\r\n');
  await client.ended();
  return client.text;
}

async function stop(running: Running): Promise<void> {
  running.child.kill('SIGTERM');
  await running.ended;
}

for (const workers of ['1', '2']) {
  test(
    `with ${workers} workers a rejected password is not sent by the next start, nor after a change of the file, but after SIGHUP`,
    { timeout: 120_000 },
    leavesNothing(async () => {
      using folder = temporaryFolder();
      await using upstream = await AuthenticatingProxy.listen(() => asks(BASIC));
      const file = `${folder.path}/viaduct.yaml`;
      const settings = {
        listen: '127.0.0.1:0',
        log: { format: 'off' },
        workers: Number(workers),
        routes: { proxy: upstream.url },
        credentials: { default: { user: 'me', from: 'env:PW' } },
      };
      writeFileSync(file, JSON.stringify(settings));
      const environment = { PW: 'wr0ng', XDG_STATE_HOME: folder.path };
      const start = (): Running => viaduct(['-c', file], environment);

      using first = start();
      for (let n = 0; n < 3; n++) {
        const page = await connectThrough(await portOf(first));
        assert.match(page, /^HTTP\/1\.1 502 [\s\S]*has rejected the password of me[\s\S]* SIGHUP has it tried/);
      }
      assert.equal(proofs(upstream), 1);
      await stop(first);
      for (const name of ['latches.json', 'latch.key']) {
        assert.equal(statSync(`${folder.path}/viaduct/${name}`).mode & 0o777, 0o600);
      }

      using second = start();
      const port = await portOf(second);
      assert.match(await connectThrough(port), /^HTTP\/1\.1 502 [\s\S]*has rejected the password of me/);
      writeFileSync(file, JSON.stringify({ ...settings, name: 'other' }));
      await second.says(/reloaded: name/);
      assert.match(await connectThrough(port), /has rejected the password of me/);
      assert.equal(proofs(upstream), 1);

      second.child.kill('SIGHUP');
      await second.says(/nothing changed/);
      assert.match(await connectThrough(port), /has rejected the password of me/);
      assert.equal(proofs(upstream), 2);
      await stop(second);

      using other = viaduct(['-c', file], { ...environment, PW: 'another' });
      await connectThrough(await portOf(other));
      assert.equal(proofs(upstream), 3, 'a secret that has changed is another one');
      await stop(other);
    }),
  );
}

test(
  'a password that explain has seen rejected is sent neither by the next explain nor by run',
  { timeout: 60_000 },
  leavesNothing(async () => {
    using folder = temporaryFolder();
    await using upstream = await AuthenticatingProxy.listen(() => asks(BASIC));
    const file = `${folder.path}/viaduct.yaml`;
    const routes = { proxy: upstream.url };
    const credentials = { default: { user: 'me', from: 'env:PW' } };
    writeFileSync(file, JSON.stringify({ listen: '127.0.0.1:0', admin: false, routes, credentials }));
    const environment = { PW: 'wr0ng', XDG_STATE_HOME: folder.path };
    const words = ['explain', 'http://far.test/', '-c', file];
    assert.match((await viaductEnds(words, environment)).out, /has\s+rejected\s+the\s+password\s+of\s+me/);
    assert.match((await viaductEnds(words, environment)).out, /has\s+rejected\s+the\s+password\s+of\s+me/);
    assert.equal(proofs(upstream), 1);

    using running = viaduct(['-c', file], environment);
    assert.match(await connectThrough(await portOf(running)), /has rejected the password of me/);
    assert.equal(proofs(upstream), 1);
    await stop(running);
  }),
);

/** `http_proxy` and its like in the environment of `viaduct run`: the route, unless they name this very proxy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePorts } from '../lab/daemon.ts';
import { viaduct } from '../support/cli.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';

const upstreamProxy = (): Promise<RawOrigin> =>
  RawOrigin.listen(
    answering(({ startLine }) => (startLine.startsWith('CONNECT ') ? 'HTTP/1.1 200 OK\r\n\r\nparent' : ok('parent'))),
  );

interface Asked {
  readonly words?: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly request: string;
}

/** What a proxy on `port` answers, and what it has printed until its end. */
async function answer(
  port: number,
  { words = [], environment, request }: Asked,
): Promise<{ text: string; err: string }> {
  using running = viaduct(['--listen', `127.0.0.1:${port}`, '--log', 'off', ...words], environment);
  await running.says(/listening on .*\n/);
  using client = await rawClient(port);
  client.send(request);
  await client.until(/\r\n\r\n./s);
  client[Symbol.dispose]();
  running.child.kill('SIGTERM');
  const { err } = await running.ended;
  return { text: client.text, err };
}

const get = (authority: string) =>
  `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`;
const connect = 'CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n\r\n';

test('proxies that the environment names are gone through: http_proxy for plain requests, https_proxy for tunnels, all_proxy for both', async () => {
  await using upstream = await upstreamProxy();
  const url = `http://${upstream.authority}`;
  const [port = 0] = await freePorts(1);
  for (const [environment, request] of [
    [{ http_proxy: url }, get('far.test')],
    [{ HTTP_PROXY: url }, get('far.test')],
    [{ https_proxy: url }, connect],
    [{ HTTPS_PROXY: url }, connect],
    [{ ALL_PROXY: url }, get('far.test')],
    [{ all_proxy: url }, connect],
  ] as const) {
    const { text } = await answer(port, { environment, request });
    assert.match(text, /\r\n\r\nparent$/, JSON.stringify(environment));
  }
});

test('NO_PROXY exempts hosts from them, and a flag that sets the route overrides them', async () => {
  await using upstream = await upstreamProxy();
  await using origin = await RawOrigin.listen(answering(() => ok('direct')));
  await using other = await RawOrigin.listen(answering(() => ok('other')));
  const environment = { http_proxy: `http://${upstream.authority}`, NO_PROXY: '127.0.0.1' };
  const [port = 0] = await freePorts(1);
  const direct = await answer(port, { environment, request: get(origin.authority) });
  assert.match(direct.text, /\r\n\r\ndirect$/);
  const words = ['--proxy', `http://${other.authority}`];
  const flagged = await answer(port, { words, environment, request: get('far.test') });
  assert.match(flagged.text, /\r\n\r\nother$/);
  assert.equal(upstream.connections.length, 0);
});

test('variables that name this very proxy are meant for other programs', async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('direct')));
  const [port = 0] = await freePorts(1);
  for (const own of [`http://127.0.0.1:${port}`, `localhost:${port}`, `http://127.0.0.1:${port}/`]) {
    for (const environment of [{ http_proxy: own, https_proxy: own }, { ALL_PROXY: own }]) {
      const { text, err } = await answer(port, { environment, request: get(origin.authority) });
      assert.match(text, /\r\n\r\ndirect$/, own);
      assert.match(err, /the proxy that environment names is this proxy itself, and is not used as an upstream proxy/);
    }
  }
});

import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { existsSync, readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';

function heard(t: TestContext): { readonly name: string; readonly message: unknown }[] {
  const messages: { name: string; message: unknown }[] = [];
  for (const name of channelNames()) {
    const hear = (message: unknown) => void messages.push({ name, message });
    subscribe(name, hear);
    t.after(() => unsubscribe(name, hear));
  }
  return messages;
}

const stepsOf = (messages: readonly { name: string; message: unknown }[], name: string): string[] =>
  messages.flatMap(({ name: channel, message }) =>
    channel === name && typeof message === 'object' && message !== null && 'step' in message
      ? [String(message.step)]
      : [],
  );

test('a tunnel publishes each of its steps, in order, under the id of its request', async (t) => {
  const messages = heard(t);
  await using origin = await RawOrigin.listen(() => undefined);
  await using proxy = await ProxyUnderTest.start();
  using client = await proxy.tunnel(origin.authority);
  client.end();
  const { id } = await proxy.record();
  const mine = messages.filter(({ message }) => typeof message === 'object' && message !== null && 'id' in message);
  assert.ok(
    mine.every(({ message }) => JSON.stringify(message, (key, value) => (key === 'request' ? '' : value)).includes(id)),
  );
  const steps = ['identify', 'admit', 'route', 'connect', 'relay'];
  assert.deepEqual(stepsOf(messages, 'viaduct:step:start'), steps);
  assert.deepEqual(stepsOf(messages, 'viaduct:step:end'), steps);
  const order = mine.map(({ name }) => name).filter((name) => !name.startsWith('viaduct:step'));
  assert.deepEqual(order, [
    'viaduct:request',
    'viaduct:decided',
    'viaduct:routed',
    'viaduct:dialing',
    'viaduct:connected',
    'viaduct:response',
    'viaduct:established',
    'viaduct:close',
  ]);
});

test("the client's trace goes on to the origin as it came, and into the record", async () => {
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  let head = '';
  await using origin = await RawOrigin.listen(
    answering((request) => {
      ({ head } = request);
      return ok('hello');
    }),
  );
  await using proxy = await ProxyUnderTest.start();
  using client = await proxy.client();
  client.send(
    `GET http://${origin.authority}/ HTTP/1.1\r\nHost: ${origin.authority}\r\nTraceparent: ${traceparent}\r\n` +
      'Tracestate: a=1,b=2\r\nConnection: close\r\n\r\n',
  );
  const { traceId } = await proxy.record();
  assert.equal(traceId, '4bf92f3577b34da6a3ce929d0e0e4736');
  assert.match(head, new RegExp(`\r\nTraceparent: ${traceparent}\r\nTracestate: a=1,b=2\r\n`));
});

test('docs/TRACING.md names every channel, and no other', () => {
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'));
  const source = readFileSync(new URL(`../../src/observe/diagnostics-channels${extension}`, import.meta.url), 'utf8');
  const made = [...source.matchAll(/channel\(['"](viaduct:[^'"]+)['"]\)/g)].map(([, name]) => name);
  assert.deepEqual(channelNames().sort(), made.sort());
});

/** As the page has them. */
function channelNames(): string[] {
  const page = readFileSync(pagePath(), 'utf8');
  return [...page.matchAll(/^\| `(viaduct:[^`]+)` \|/gm)].map(([, name = '']) => name);
}

/** Compiled tests lie elsewhere, so the root is looked for. */
function pagePath(): URL {
  let folder = new URL('./', import.meta.url);
  while (folder.pathname !== '/' && !existsSync(new URL('docs/TRACING.md', folder))) folder = new URL('../', folder);
  return new URL('docs/TRACING.md', folder);
}

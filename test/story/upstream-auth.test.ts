/** Who we are at upstream proxies: what is said when, on which connection, and what is never said again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigInput } from '../../src/config/schema.ts';
import { systemClock } from '../../src/core/clock.ts';
import { AskingParent, basicJudge } from '../support/asking-parent.ts';
import { messagesIn } from '../support/http-messages.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { nobodysSources, ProxyUnderTest } from '../support/proxy-under-test.ts';
import { type RawPeer, rawClient } from '../support/raw-client.ts';

const PASSWORD = 'Grüße:7f3a';

/** A proxy that has an account for the parent, with this password in its environment. */
function proxyTo(
  parent: { readonly url: string },
  more: ConfigInput = {},
  password = PASSWORD,
): Promise<ProxyUnderTest> {
  return ProxyUnderTest.start(
    { routes: { proxy: parent.url }, credentials: { default: { user: 'me', from: 'env:PW' } }, ...more },
    { credentials: nobodysSources(systemClock, { PW: password }) },
  );
}

const connect = 'CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n\r\n';
const get = 'GET http://far.test/x HTTP/1.1\r\nHost: far.test\r\n\r\n';
/** One request on a connection of its own; what came back when it is complete. */
async function ask(port: number, request: string): Promise<string> {
  using client = await rawClient(port);
  client.send(request);
  await client.when((peer) => isAnswered(peer, request), 'an answer');
  return client.text;
}
const isAnswered = (peer: RawPeer, request: string): boolean => {
  const method = request.split(' ')[0] ?? '';
  const [answer] = messagesIn(peer.received, { kind: 'response', methods: [method], ended: peer.ending !== 'open' });
  return answer !== undefined && (answer.complete || (method === 'CONNECT' && answer.startLine.includes(' 200 ')));
};
const statusOf = (text: string): number => Number(text.split(' ')[1]);

/** That the password, and what is made of it, is nowhere in what the proxy tells. */
function tellsNothing({ events, records }: ProxyUnderTest, password: string, ...pages: readonly string[]): void {
  const told = JSON.stringify([events, records]) + pages.join('\n');
  for (const secret of [password, Buffer.from(`me:${password}`).toString('base64'), encodeURIComponent(password)]) {
    assert.ok(!told.includes(secret) && !told.includes(Buffer.from(secret).toString('latin1')), told);
  }
}

for (const [what, request] of [
  ['a tunnel', connect],
  ['a plain request', get],
] as const) {
  test(
    `Basic: ${what} says nothing before the parent asks, and from then on says it at once`,
    leavesNothing(async () => {
      await using parent = await AskingParent.listen(basicJudge('me', PASSWORD));
      await using proxy = await proxyTo(parent);
      for (let n = 0; n < 3; n++) assert.equal(statusOf(await ask(proxy.port, request)), 200);
      const method = request.split(' ')[0];
      assert.deepEqual(parent.story, [`${method} -`, `${method} Basic`, `${method} Basic`, `${method} Basic`]);
      // The second message came on the connection of the first.
      assert.deepEqual([parent.asked[0]?.peer, parent.asked[1]?.at], [parent.asked[1]?.peer, 1]);
      tellsNothing(proxy, PASSWORD);
    }),
  );
}

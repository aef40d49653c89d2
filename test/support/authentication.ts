import assert from 'node:assert/strict';
import type { AuthSchemeName } from '../../src/contracts/login-terms.ts';
import { type Clock, systemClock } from '../../src/util/clock.ts';
import { messagesIn } from './http-messages.ts';
import { ProxyUnderTest, testCredentialSources } from './proxy-under-test.ts';
import { type RawPeer, rawClient } from './raw-client.ts';

export interface Login {
  readonly password: string;
  readonly domain?: string;
  readonly auth?: readonly AuthSchemeName[];
}

/** A proxy whose only route is through `upstream`, where its user is `me`. */
export function proxyTo(
  { url }: { readonly url: string },
  { password, domain, auth }: Login,
  clock: Clock = systemClock,
): Promise<ProxyUnderTest> {
  const account = { user: 'me', from: 'env:PW', ...(domain === undefined ? {} : { domain }) };
  return ProxyUnderTest.start(
    {
      routes: { proxy: url },
      credentials: { default: account },
      ...(auth === undefined ? {} : { upstreams: [{ host: new URL(url).hostname, auth }] }),
    },
    { credentials: testCredentialSources(clock, { PW: password }), clock },
  );
}

export const connect = 'CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n\r\n';
export const get = 'GET http://far.test/x HTTP/1.1\r\nHost: far.test\r\n\r\n';
export const post = (body: string, ...fields: string[]): string =>
  `POST http://far.test/x HTTP/1.1\r\nHost: far.test\r\n${fields.map((field) => `${field}\r\n`).join('')}Content-Length: ${body.length}\r\n\r\n${body}`;

/** One request on a connection of its own; what came back, once that is complete. */
export async function ask(port: number, request: string): Promise<string> {
  using client = await rawClient(port);
  client.send(request);
  await client.when((peer) => isAnswered(peer, request), 'a response');
  return client.text;
}

function isAnswered({ received, ending }: RawPeer, request: string): boolean {
  const [method = ''] = request.split(' ');
  const [answer] = messagesIn(received, { kind: 'response', methods: [method], ended: ending !== 'open' });
  return answer !== undefined && (answer.complete || (method === 'CONNECT' && / 200 /.test(answer.startLine)));
}

export const statusOf = (text: string): number => Number(text.split(' ')[1]);

/** That a password, and what is made of it for the wire, is in no event, record or page. */
export function assertNoSecretLeaks(
  { events, records }: ProxyUnderTest,
  password: string,
  ...pages: readonly string[]
): void {
  const reported = JSON.stringify([events, records]) + pages.join('\n');
  const forms = [password, encodeURIComponent(password), Buffer.from(password, 'utf16le').toString('hex')];
  for (const user of ['me', 'CORP\\me']) forms.push(Buffer.from(`${user}:${password}`).toString('base64'));
  for (const form of forms) assert.ok(!reported.includes(form), reported);
}

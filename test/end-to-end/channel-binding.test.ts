/** Logins over TLS are tied to the certificate of the upstream proxy, so that a proxy with Extended Protection accepts them. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { startProxy } from '../../src/index.ts';
import { AuthenticatingProxy, ntlmJudge } from '../support/authenticating-proxy.ts';
import { ask, get } from '../support/authentication.ts';
import { Authority } from '../support/authority.ts';
import { bindingTo, channelBindingIn } from '../support/channel-binding.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { missing } from '../support/requires.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** TLS in front of an upstream proxy, whose certificate an authority has issued that it shows too. */
async function inTls({ origin }: AuthenticatingProxy, chain: string, key: string) {
  const server = createTlsServer({ cert: chain, key }, (socket) => {
    const inside = connectTcp(origin.port, '127.0.0.1');
    socket.on('error', () => inside.destroy()).pipe(inside);
    inside.on('error', () => socket.destroy()).pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return { url: `https://127.0.0.1:${address.port}`, [Symbol.asyncDispose]: async () => void server.close() };
}

test(
  'NTLM over TLS is tied to the certificate of the upstream proxy, also where Kerberos was tried on the connection, or the certificate is pinned',
  { skip: missing('openssl') },
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const authority = new Authority(folder.path, 'ours');
    const issued = authority.issue('proxy', { subject: '/CN=proxy', names: 'IP:127.0.0.1' });
    const leaf = readFileSync(issued.cert, 'utf8');
    const chain = leaf + readFileSync(authority.cert, 'utf8');
    const certificate = new X509Certificate(leaf);
    const outcomes: unknown[] = [];
    for (const scheme of ['NTLM', 'Negotiate'] as const) {
      for (const pinned of ['pinned', 'by authority'] as const) {
        await using upstream = await AuthenticatingProxy.listen(ntlmJudge({ scheme }));
        await using front = await inTls(upstream, chain, readFileSync(issued.key, 'utf8'));
        const tls = { ca: readFileSync(authority.cert, 'utf8'), fingerprint256: certificate.fingerprint256 };
        const url = front.url.replace('//', '//CORP%5Cme:secret@');
        await using proxy = await startProxy({
          route: () => [{ url, tls: pinned === 'pinned' ? tls : { ca: tls.ca } }],
        });
        assert.match(await ask(proxy.port, get), /^HTTP\/1\.1 200 [\s\S]*served$/);
        outcomes.push(
          upstream.requests
            .map(({ credentials }) => channelBindingIn(credentials))
            .find((binding) => binding !== undefined),
        );
      }
    }
    assert.deepEqual(outcomes, Array(4).fill(bindingTo(certificate)));
  }),
);

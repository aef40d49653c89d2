/** Logins over TLS are tied to the certificate of the upstream proxy, so that a proxy with Extended Protection accepts them. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { startProxy } from '../../src/index.ts';
import { AV, avValue, readTargetInfo } from '../../src/protocol/ntlm/ntlm-target-info.ts';
import { AuthenticatingProxy, ntlmJudge, type ReceivedRequest } from '../support/authenticating-proxy.ts';
import { ask, get } from '../support/authentication.ts';
import { Authority } from '../support/authority.ts';
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

/** MsvAvChannelBindings in the NTLMv2 response of a Type 3 (MS-NLMP §2.2.2.7). */
function channelBindingIn({ credentials }: ReceivedRequest): string | undefined {
  const token = Buffer.from(credentials?.split(' ')[1] ?? '', 'base64');
  const at = token.indexOf('NTLMSSP\0\x03', 0, 'latin1');
  if (at < 0) return undefined;
  const message = token.subarray(at);
  const response = message.subarray(message.readUInt32LE(24)).subarray(0, message.readUInt16LE(20));
  return avValue(readTargetInfo(response.subarray(44)) ?? [], AV.channelBindings)?.toString('hex');
}

/** MS-NLMP §3.1.5.1.2: a struct without addresses, and the application data of RFC 5929 §4. */
function expectedFor(certificate: X509Certificate): string {
  const hash = createHash('sha256').update(certificate.raw).digest();
  const data = Buffer.concat([Buffer.from('tls-server-end-point:'), hash]);
  const head = Buffer.from(`${'00'.repeat(16)}35000000`, 'hex');
  return createHash('md5')
    .update(Buffer.concat([head, data]))
    .digest('hex');
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
        outcomes.push(upstream.requests.map(channelBindingIn).find((binding) => binding !== undefined));
      }
    }
    assert.deepEqual(outcomes, Array(4).fill(expectedFor(certificate)));
  }),
);

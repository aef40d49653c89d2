import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Dante, startDante } from '../../../test/lab/dante.ts';
import { startSquid } from '../../../test/lab/squid.ts';
import { byLogin } from '../../../test/support/by-login.ts';
import { leavesNothing } from '../../../test/support/no-leaks.ts';
import { RawOrigin } from '../../../test/support/origin.ts';
import { missing } from '../../../test/support/requires.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { AddressGuard } from '../../contracts/policy.ts';
import type { Hops } from '../../contracts/stages.ts';
import { parseProxyUrl } from '../../protocol/routes/proxy-url.ts';
import { systemClock } from '../../util/clock.ts';
import { createRouteDialer } from '../dial/create-route-dialer.ts';
import { cachingResolver } from '../dial/resolver.ts';
import { tlsSettings } from '../tls/trust.ts';
import { createProbe } from './probe.ts';

/** Of a target nothing is allowed here: proxies are judged as proxies. */
const guard: AddressGuard = {
  check: () => ({ verdict: 'deny', rule: 'test', code: 'address_prohibited' }),
  checkConfigured: () => ({ verdict: 'allow', rule: 'test' }),
};

function probe(url: string, { ca, signal }: { ca?: string; signal?: AbortSignal } = {}): Promise<void> {
  const tls = tlsSettings(ca === undefined ? [] : [{ host: 'localhost', ca }]);
  const options = { resolver: cachingResolver(systemClock), clock: systemClock, connectMs: 5_000, headMs: 5_000, tls };
  const never = new AbortController().signal;
  const [first = '', ...more] = url.split(' > ');
  const hops: Hops = [parseProxyUrl(first, 'user'), ...more.map((one) => parseProxyUrl(one, 'user'))];
  return createProbe(createRouteDialer({ ...options, auth: byLogin() }), guard, systemClock)(hops, signal ?? never);
}

const failsWith = (code: string) => (error: unknown) => error instanceof ProxyError && error.code === code;

for (const [scheme, question, answer] of [
  [
    'http',
    /^OPTIONS \* HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n$/,
    'HTTP/1.0 400 No\r\nA: b\r\n\r\n',
  ],
  ['socks5', /^\x05\x01\x00$/, '\x05\xff'],
  ['socks4', /^\x04\x01\0{7}$/, '\0\x5b\0\0\0\0\0\0'],
  ['socks4a', /^\x04\x01\0{7}$/, '\0\x5b\0\0\0\0\0\0'],
] as const) {
  test(
    `${scheme}: any answer is life, also a refusing one that comes byte by byte; then the connection is closed`,
    leavesNothing(async () => {
      await using proxy = await RawOrigin.listen();
      const probing = probe(`${scheme}://${proxy.authority}`);
      const peer = await proxy.connection();
      await peer.until(question);
      for (const byte of answer) {
        peer.send(byte);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await probing;
      await peer.ended();
    }),
  );

  test(
    `${scheme}: a close, another protocol and silence are none`,
    leavesNothing(async () => {
      const answers = ['', 'SSH-2.0-x\r\n'];
      await using proxy = await RawOrigin.listen((peer) =>
        peer.socket.once('data', () => peer.send(answers[0] ?? '').end()),
      );
      await assert.rejects(probe(`${scheme}://${proxy.authority}`), failsWith('upstream_closed'));
      answers.shift();
      await assert.rejects(probe(`${scheme}://${proxy.authority}`), failsWith('upstream_protocol'));
      await using silent = await RawOrigin.listen();
      const abort = new AbortController();
      const probing = probe(`${scheme}://${silent.authority}`, { signal: abort.signal });
      const peer = await silent.connection();
      await peer.until(/./s);
      const reason = new ProxyError('upstream_timeout', 'test');
      abort.abort(reason);
      await assert.rejects(probing, (error) => error === reason);
      await peer.ended();
    }),
  );
}

for (const [scheme, half] of [
  ['http', 'HTTP/1.1 200 Con'],
  ['http', 'HTTP/1.1 200 OK\r\nA: b\r\n'],
  ['http', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n'],
  ['socks5', '\x05'],
  ['socks4', '\0\x5b\0'],
] as const) {
  test(
    `${scheme}: ${JSON.stringify(half)} and then nothing is no life`,
    leavesNothing(async () => {
      await using proxy = await RawOrigin.listen();
      const abort = new AbortController();
      const probing = probe(`${scheme}://${proxy.authority}`, { signal: abort.signal });
      const peer = await proxy.connection();
      await peer.until(/./s);
      peer.send(half);
      const reason = new ProxyError('upstream_timeout', 'test');
      const limit = setTimeout(() => abort.abort(reason), 100);
      await assert.rejects(probing, (error) => error === reason);
      clearTimeout(limit);
      await peer.ended();
    }),
  );
}

test(
  'socks5: a login is offered where there is one',
  leavesNothing(async () => {
    await using proxy = await RawOrigin.listen((peer) => peer.socket.once('data', () => peer.send('\x05\x02')));
    await probe(`socks5://me:secret@${proxy.authority}`);
    assert.equal(proxy.text, '\x05\x02\x00\x02');
  }),
);

for (const scheme of ['http', 'socks5', 'socks4']) {
  test(
    `${scheme} behind another proxy is asked through it, as a proxy and not as a target`,
    leavesNothing(async () => {
      await using front = await RawOrigin.listen();
      const probing = probe(`socks4://${front.authority} > ${scheme}://127.0.0.1:9`);
      const peer = await front.connection();
      await peer.until(/^\x04\x01\x00\x09\x7f\x00\x00\x01\x00$/);
      peer.send('\0\x5a\0\0\0\0\0\0');
      await peer.until(/.{10}/s);
      peer.send({ http: 'HTTP/1.1 200 OK\r\n\r\n', socks5: '\x05\x00', socks4: '\0\x5b\0\0\0\0\0\0' }[scheme] ?? '');
      await probing;
      await peer.ended();
    }),
  );
}

test(
  'Squid answers, in the clear, where it wants a password, and over TLS; a certificate that is not trusted is no life',
  { skip: missing('squid-openssl') },
  leavesNothing(async () => {
    await using squid = await startSquid();
    await probe(squid.plain);
    await probe(`http://127.0.0.1:${squid.basicPort}`);
    await probe(squid.tls, { ca: squid.ca });
    await assert.rejects(probe(squid.tls), failsWith('certificate_rejected'));
  }),
);

for (const method of ['none', 'username'] as const) {
  test(
    `Dante answers (${method}) to any request`,
    { skip: missing('dante-server') },
    leavesNothing(async () => {
      await using dante: Dante = await startDante(method);
      await probe(`socks5://127.0.0.1:${dante.port}`);
      await probe(`socks5://me:wrong@127.0.0.1:${dante.port}`);
      await probe(`socks4://127.0.0.1:${dante.port}`);
    }),
  );
}

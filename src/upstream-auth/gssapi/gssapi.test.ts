import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, readdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { after, before, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { accept } from '../../../test/lab/acceptor.ts';
import { ACCOUNTS } from '../../../test/lab/accounts.ts';
import { FOREIGN_NAME, type Kdc, type KerberosEnvironment, startKdc } from '../../../test/lab/kdc.ts';
import { noLab } from '../../../test/lab/private.ts';
import { PROXY_NAME, type SquidUpstream } from '../../../test/lab/squid-upstream.ts';
import { startNegotiateUpstream } from '../../../test/lab/upstream-proxies.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { rawClient } from '../../../test/support/raw-client.ts';
import { temporaryFolder } from '../../../test/support/temporary.ts';
import { until } from '../../../test/support/until.ts';
import { CALL_MS } from '../../gssapi/call-slots.ts';
import { readNegotiateToken } from '../../protocol/spnego.ts';
import { systemClock } from '../../util/clock.ts';
import {
  type GssContext,
  type GssStep,
  type KerberosProvider,
  type KerberosUnavailable,
  systemKerberos,
} from './gssapi.ts';

const skip = noLab();
/** The delay of the event loop is measured for so long, while calls hang. */
const HELD_UP_MS = 1_000;

let kdc: Kdc;
let upstream: SquidUpstream;
let origin: Server;
let port: number;
before(async () => {
  if (skip !== false) return;
  kdc = await startKdc();
  upstream = await startNegotiateUpstream(kdc);
  origin = createServer((_, response) => response.end('reached'));
  await once(origin.listen(0, '127.0.0.1'), 'listening');
  const address = origin.address();
  port = typeof address === 'object' && address !== null ? address.port : assert.fail();
});
after(async () => {
  origin?.close();
  await upstream?.[Symbol.asyncDispose]();
  await kdc?.[Symbol.asyncDispose]();
});

/** Gives this process a Kerberos for a while: the library reads the environment at each call. */
function within(environment: Readonly<Record<string, string>>): Disposable {
  const before = Object.keys(environment).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, environment);
  return {
    [Symbol.dispose]() {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    },
  };
}

const ticketing = (): KerberosProvider => systemKerberos({ clock: systemClock, platform: process.platform });

function granted<T extends object>(answer: T | KerberosUnavailable): T {
  if ('unavailable' in answer) assert.fail(`refused: ${answer.unavailable}`);
  return answer;
}
const tokenOf = (answer: GssStep | KerberosUnavailable): Buffer => granted(answer).token ?? assert.fail('no token');

async function refusal(environment: KerberosEnvironment, service: string): Promise<string> {
  using _environment = within(environment);
  const offered = await ticketing().createContext(service);
  if ('unavailable' in offered) return offered.unavailable;
  using context = offered;
  const first = await context.step();
  return 'unavailable' in first ? first.unavailable : 'a token';
}

/** The status line of Squid's answer to a CONNECT with this token. */
async function connectWith(token: Buffer): Promise<string> {
  using client = await rawClient(upstream.port);
  const host = `127.0.0.1:${port}`;
  client.send(
    `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\nProxy-Authorization: Negotiate ${token.toString('base64')}\r\n\r\n`,
  );
  const text = await client.until('\r\n\r\n');
  return text.slice(0, text.indexOf('\r\n'));
}

test('a good ticket opens a tunnel through Squid, once', { skip }, async () => {
  using _environment = within(kdc.good);
  for (const host of ['localhost', PROXY_NAME]) {
    using context = granted(await ticketing().createContext(`HTTP@${host}`));
    const step = granted(await context.step());
    const token = tokenOf(step);
    const read = readNegotiateToken(token);
    assert.ok(read?.kind === 'init');
    assert.deepEqual(read.mechTypes, ['1.2.840.113554.1.2.2']);
    assert.equal(await connectWith(token), 'HTTP/1.1 200 Connection established');
    assert.equal(await connectWith(token), 'HTTP/1.1 407 Proxy Authentication Required');
  }
});

test('each way to be without a ticket has its own sentence', { skip }, async () => {
  assert.equal(await refusal(kdc.none, 'HTTP@localhost'), 'there is no Kerberos ticket: kinit gets one');
  const expired = await kdc.expired();
  assert.equal(await refusal(expired, 'HTTP@localhost'), 'the Kerberos ticket has run out: kinit gets a new one');
  const unknown = 'Kerberos does not know this proxy by the name that its URL has';
  assert.equal(await refusal(kdc.good, 'HTTP@127.0.0.1'), unknown);
  const keyring = { ...kdc.good, KRB5CCNAME: 'NOSUCHTYPE:x' };
  assert.equal(await refusal(keyring, 'HTTP@localhost'), 'there is no Kerberos ticket: kinit gets one');
});

test('a ticket for a service whose key the proxy has not is refused by the proxy', { skip }, async () => {
  using _environment = within(kdc.good);
  using context = granted(await ticketing().createContext(`HTTP@${FOREIGN_NAME}`));
  assert.match(await connectWith(tokenOf(await context.step())), /^HTTP\/1\.1 407 /);
});

test('a ticket that comes after the start is used, and its end is known', { skip }, async () => {
  using folder = temporaryFolder();
  using _environment = within({ ...kdc.good, KRB5CCNAME: `FILE:${folder.path}/tickets` });
  const tickets = ticketing();
  assert.deepEqual(await tickets.createContext('HTTP@localhost'), {
    unavailable: 'there is no Kerberos ticket: kinit gets one',
  });
  assert.equal(await tickets.ticketExpiry(), undefined);
  copyFileSync(kdc.kinit(ACCOUNTS.bob, '30m').replace('FILE:', ''), `${folder.path}/tickets`);
  using context = granted(await tickets.createContext('HTTP@localhost'));
  assert.equal(await connectWith(tokenOf(await context.step())), 'HTTP/1.1 200 Connection established');
  const leftMs = ((await tickets.ticketExpiry())?.getTime() ?? 0) - Date.now();
  assert.ok(leftMs > 29 * 60_000 && leftMs <= 30 * 60_000, `${leftMs} ms`);
});

test('the service proves its identity, and a changed proof is not accepted', { skip }, async () => {
  using _environment = within({ ...kdc.good, KRB5_KTNAME: kdc.keytab });
  for (const change of ['none', 'last byte'] as const) {
    using context = granted(await ticketing().createContext('HTTP@localhost'));
    const first = granted(await context.step());
    assert.equal(first.done, false);
    const answer = accept(tokenOf(first));
    assert.equal(answer.major, 0);
    if (change === 'last byte') answer.token[answer.token.length - 1] = (answer.token.at(-1) ?? 0) ^ 1;
    const last = await context.step(answer.token);
    if (change === 'none') assert.deepEqual(last, { token: undefined, done: true });
    else assert.ok('unavailable' in last, JSON.stringify(last));
  }
});

test('a token is bound to the TLS connection that it was made for', { skip }, async () => {
  using _environment = within({ ...kdc.good, KRB5_KTNAME: kdc.keytab });
  const GSS_S_BAD_BINDINGS = 4 << 16;
  const binding = Buffer.from('tls-server-end-point:one');
  const offer = async (): Promise<Buffer> => {
    using context = granted(await ticketing().createContext('HTTP@localhost', binding));
    return tokenOf(await context.step());
  };
  assert.equal(accept(await offer(), binding).major, 0);
  assert.equal(accept(await offer(), Buffer.from('tls-server-end-point:two')).major, GSS_S_BAD_BINDINGS);
});

test('what is no response to a ticket ends the login', { skip }, async () => {
  using _environment = within(kdc.good);
  for (const [answer, why] of [
    [Buffer.from('NTLMSSP\0\x02\0\0\0', 'latin1'), 'the proxy answers a ticket with something else than SPNEGO'],
    [Buffer.from('a1073005a0030a0102', 'hex'), 'the proxy rejects the Kerberos ticket'],
    [
      Buffer.from('a10e300ca10a06082b06010401823702', 'hex'),
      'the proxy wants another mechanism than Kerberos (1.3.6.1.4.1.311.2)',
    ],
  ] as const) {
    using context = granted(await ticketing().createContext('HTTP@localhost'));
    granted(await context.step());
    assert.deepEqual(await context.step(answer), { unavailable: why });
    assert.deepEqual(await context.step(answer), { unavailable: 'this login is over' });
  }
});

test('a silent KDC holds up neither the event loop nor, for long, the callers', { skip }, async () => {
  await using silent = await startKdc();
  using _environment = within(silent.good);
  const clock = new ManualClock();
  const tickets = systemKerberos({ clock, platform: process.platform });
  const begin = async (): Promise<GssContext> => granted(await tickets.createContext('HTTP@localhost'));
  const contexts = [await begin(), await begin(), await begin()];
  silent.daemon.kill('SIGSTOP');
  using delay = delayed();
  const steps = contexts.map((context) => context.step());
  await wait(HELD_UP_MS);
  assert.ok(delay.maxMs() < HELD_UP_MS / 2, `the loop was held up for ${delay.maxMs()} ms`);
  clock.advance(CALL_MS);
  const silence = { unavailable: 'Kerberos does not answer; perhaps its KDC is silent' };
  assert.deepEqual(await Promise.all(steps), [silence, silence, silence]);
  // Both threads still hang: no other caller waits for them.
  assert.deepEqual(await tickets.createContext('HTTP@localhost'), silence);
  assert.equal(await tickets.ticketExpiry(), undefined);
  silent.daemon.kill('SIGCONT');
  let offered = await tickets.createContext('HTTP@localhost');
  const isOffered = async () => {
    if ('unavailable' in offered) offered = await tickets.createContext('HTTP@localhost');
    return !('unavailable' in offered);
  };
  await until(isOffered, 'Kerberos answers again');
  using context = granted(offered);
  assert.ok(tokenOf(await context.step()).length > 0);
});

/** The longest that the event loop was late since then. */
function delayed(): Disposable & { maxMs(): number } {
  const histogram = monitorEventLoopDelay({ resolution: 5 });
  histogram.enable();
  return { maxMs: () => histogram.max / 1e6, [Symbol.dispose]: () => histogram.disable() };
}

test('a burst of contexts at once leaves nothing open', { skip }, async () => {
  using _environment = within(kdc.good);
  const tickets = ticketing();
  const one = async (): Promise<number> => {
    using context = granted(await tickets.createContext('HTTP@localhost'));
    return tokenOf(await context.step()).length;
  };
  await one();
  const before = readdirSync('/proc/self/fd').length;
  const lengths = await Promise.all(Array.from({ length: 500 }, one));
  assert.ok(Math.min(...lengths) > 0);
  assert.equal(readdirSync('/proc/self/fd').length, before);
});

test('where there is no GSS-API the result is a reason', async () => {
  const tickets = systemKerberos({ clock: systemClock, platform: 'win32' });
  assert.deepEqual(await tickets.createContext('HTTP@localhost'), {
    unavailable: 'Kerberos by GSS-API is not to be had on win32',
  });
  assert.equal(await tickets.ticketExpiry(), undefined);
});

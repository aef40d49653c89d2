import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { after, test } from 'node:test';
import { viaduct, viaductEnds } from '../support/cli.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, echo, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { rawClient } from '../support/raw-client.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { Web } from '../support/web.ts';

/** What the event loop may be delayed by while a script loops in its thread: the longest of a hundred looks. */
const DELAY_MS_MAX = 20;
const LOOPS_MAX = 4;

const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());

function script(name: string, body: string): string {
  const path = join(folder.path, name);
  writeFileSync(path, `function FindProxyForURL(url, host) { ${body} }`);
  return path;
}

/** An upstream proxy that answers every request with its name. */
const upstream = (name: string): Promise<RawOrigin> =>
  RawOrigin.listen(
    answering(({ startLine }) => (startLine.startsWith('CONNECT ') ? `HTTP/1.1 200 OK\r\n\r\n${name}` : ok(name))),
  );

async function answerTo(proxy: ProxyUnderTest, head: string): Promise<string> {
  using client = await proxy.client();
  client.send(`${head}\r\nConnection: close\r\n\r\n`);
  await client.until(/\r\n\r\n./s);
  return client.text;
}

test(
  'the script decides for tunnels and plain requests, for this machine as well, and a saved change holds',
  leavesNothing(async () => {
    await using one = await upstream('one');
    await using two = await upstream('two');
    const path = script('change.pac', `return "PROXY ${one.authority}";`);
    await using proxy = await ProxyUnderTest.start({ routes: { pac: path } });
    assert.match(await answerTo(proxy, 'CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443'), /\r\n\r\none$/);
    assert.match(await answerTo(proxy, 'GET http://127.0.0.1:9/ HTTP/1.1\r\nHost: 127.0.0.1:9'), /\r\n\r\none$/);
    assert.match(one.text, /^GET http:\/\/127\.0\.0\.1:9\/ HTTP\/1\.1\r\n/m);
    script('change.pac', `return "PROXY ${two.authority}";`);
    for (let answer = ''; !answer.endsWith('two'); ) {
      answer = await answerTo(proxy, 'CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443');
    }
  }),
);

test(
  'a script that names this very proxy is answered 508, once',
  leavesNothing(async () => {
    const path = script('self.pac', 'return "PROXY 127.0.0.1:" + host.split(".")[0].slice(1);');
    await using proxy = await ProxyUnderTest.start({ routes: { pac: path } });
    const authority = `p${proxy.port}.example:443`;
    assert.match(await answerTo(proxy, `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}`), /^HTTP\/1\.1 508 /);
    assert.match(await answerTo(proxy, `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}`), /^HTTP\/1\.1 508 /);
    assert.equal(proxy.records.length, 2);
  }),
);

test(
  'a script that never ends delays its own request until the deadline, and no other',
  leavesNothing(async () => {
    await using target = await RawOrigin.listen(echo);
    const path = script('loop.pac', 'while (host.indexOf("loop") == 0) {} return "DIRECT";');
    // Other work of the machine delays the event loop as well, but hardly each time; a script that held it would.
    const delaysMs: number[] = [];
    while (delaysMs.length < LOOPS_MAX && !delaysMs.some((ms) => ms < DELAY_MS_MAX)) {
      const host = `loop${delaysMs.length}.example`;
      await using proxy = await ProxyUnderTest.start({ routes: { pac: path } });
      using busy = await proxy.tunnel(target.authority);
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      const looping = answerTo(proxy, `CONNECT ${host}:443 HTTP/1.1\r\nHost: ${host}:443`);
      let isOver = false;
      const over = looping.then(() => {
        isOver = true;
      });
      for (let count = 1; !isOver; count++) {
        busy.send('x');
        await busy.when(({ bytesReceived }) => bytesReceived === count, 'the echo');
      }
      await over;
      delay.disable();
      delaysMs.push(delay.percentile(99) / 1e6);
      // Direct, as a browser would: the name does not exist.
      assert.match(await looping, /^HTTP\/1\.1 50[24] /);
      const notices = proxy.events.flatMap((event) => (event.type === 'notice' ? [event.message] : []));
      assert.equal(notices.filter((message) => message.includes(`did not decide about ${host}: `)).length, 1);
    }
    assert.ok(
      delaysMs.some((ms) => ms < DELAY_MS_MAX),
      `event loop delayed by ${delaysMs} ms`,
    );
  }),
);

test(
  'browsers get the script with this proxy in place of every other, for each name of this machine',
  leavesNothing(async () => {
    const path = script('office.pac', 'return host == "in.example" ? "DIRECT" : "PROXY proxy.corp:8080; DIRECT";');
    await using proxy = await ProxyUnderTest.start({ routes: { pac: path } });
    for (const [page, host] of [
      ['/proxy.pac', `127.0.0.1:${proxy.port}`],
      ['/alpaca.pac', `localhost:${proxy.port}`],
      ['/proxy.pac?v=1', '[::1]:3128'],
    ] as const) {
      const text = await answerTo(proxy, `GET ${page} HTTP/1.1\r\nHost: ${host}`);
      assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
      assert.match(text, /\r\nContent-Type: application\/x-ns-proxy-autoconfig; charset=utf-8\r\n/);
      assert.ok(text.includes(`PROXY ${host}`), text);
    }
    assert.match(await answerTo(proxy, 'GET /proxy.pac HTTP/1.1\r\nHost: evil.example'), /^HTTP\/1\.1 404 /);
  }),
);

/** Chromium ends a script that asks for a name or an address, and calls it again in the same globals. */
const SCRIPTS_FOR_CHROMIUM: readonly (readonly [what: string, body: string])[] = [
  ['asks for nothing', ''],
  ['resolves the host', 'isInNet(dnsResolve(host), "10.0.0.0", "255.0.0.0");'],
  ['asks whether the host resolves', 'if (!isResolvable(host)) return "PROXY 127.0.0.1:11";'],
  [
    'asks for its own address, and resolves other names',
    'myIpAddress(); dnsResolve("a.example"); dnsResolve("b.example");',
  ],
  [
    'replaces itself before it asks',
    // Chromium asks about pages of its own before: what is in its place then has to know the direct one too.
    `FindProxyForURL = function (url, host) {
      return host == "direct.example" ? "DIRECT" : "PROXY 127.0.0.1:9; DIRECT";
    };
    dnsResolve(host);`,
  ],
];
for (const [what, body] of SCRIPTS_FOR_CHROMIUM) {
  test(`Chromium goes by the wrapped script, which ${what}`, { skip: missing('chromium') }, async () => {
    await using web = await Web.open();
    const direct = 'if (host == "direct.example") return "DIRECT";';
    const path = script('chromium.pac', `${direct} ${body} return "PROXY 127.0.0.1:9; DIRECT";`);
    await using proxy = await ProxyUnderTest.start(
      { routes: { pac: path } },
      { lookup: () => Promise.resolve(['127.0.0.1']) },
    );
    for (const [host, through] of [
      ['direct.example', 0],
      ['proxied.example', 1],
    ] as const) {
      const words = [
        ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
        ...['--disable-background-networking', '--disable-component-update'],
        `--user-data-dir=${join(folder.path, 'chromium')}`,
        `--proxy-pac-url=http://127.0.0.1:${proxy.port}/proxy.pac`,
        '--host-resolver-rules=MAP *.example 127.0.0.1',
        '--dump-dom',
        `http://${host}:${web.port}/page`,
      ];
      const { out } = await run('chromium', words);
      assert.match(out, /<p id="hello">hello from the origin<\/p>/);
      const asked = proxy.records.filter(({ target }) => target?.host === host);
      assert.equal(asked.length > 0, through > 0, host);
    }
  });
}

test('why shows which proxies the running proxy has marked down, and that the next one would be asked', async () => {
  const state = { XDG_STATE_HOME: join(folder.path, 'state') };
  await using alive = await upstream('alive');
  const words = ['--proxy', 'http://127.0.0.1:9', '--proxy', `http://${alive.authority}`];
  using running = viaduct(['--port', '0', '--listen', '127.0.0.1', ...words], state);
  const port = Number(/:(\d+)$/m.exec(await running.says(/listening on .*\n/))?.[1]);
  using client = await rawClient(port);
  client.send('CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\n\r\n');
  await client.until(/alive$/);
  const { out } = await viaductEnds(['why', ...words, 'https://far.example/'], state);
  assert.match(out, /^ {2}route {4}http:\/\/127\.0\.0\.1:9, marked down for [45] min \d+ s$/m);
  assert.match(out, new RegExp(`^=> would be tried by http://${alive.authority} first$`, 'm'));
  client[Symbol.dispose]();
  running.child.kill('SIGINT');
  await running.ended;
  assert.deepEqual(readdirSync(join(state.XDG_STATE_HOME, 'viaduct', 'proxy-health')), []);
});

test('why prints the script, each call of a helper, and every route', async () => {
  const path = script('why.pac', 'return dnsDomainIs(host, ".example") ? "PROXY 127.0.0.1:9; DIRECT" : "DIRECT";');
  const { code, out } = await viaductEnds(['why', '--pac', path, 'https://wiki.example/']);
  assert.equal(code, 0);
  const lines = out
    .replaceAll(/\d+\.\d ms/g, 'N ms')
    .replaceAll(/[\d.]+ m?s ago/g, 'N s ago')
    .split('\n');
  const begin = lines.findIndex((line) => line.startsWith('  pac '));
  assert.deepEqual(lines.slice(begin, begin + 7), [
    `  pac      ${path}, read N s ago`,
    '           dnsDomainIs("wiki.example", ".example") = true  N ms',
    '           answered "PROXY 127.0.0.1:9; DIRECT" in N ms',
    '  route    http://127.0.0.1:9',
    '  account  a Kerberos ticket, if there is one',
    '  address  127.0.0.1: allowed',
    '  route    direct',
  ]);
  assert.equal(lines.at(-2), '=> would be tried by http://127.0.0.1:9 first');
});

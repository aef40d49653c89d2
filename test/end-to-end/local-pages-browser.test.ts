/** A real browser that loads the PAC, and pages of other origins in it that would like to read it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { isInside, MACHINE_IP, noNamespace, runInside } from '../support/namespace.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** What a page of another origin learns of the PAC, by every element that fetches without asking. */
const EVIL = (pacUrl: string) => `<!doctype html><title>evil</title><pre id="result">nothing yet</pre>
<script>var said = []; window.onerror = (message) => { said.push('error ' + message); };</script>
<script src="${pacUrl}" onload="said.push('script loaded')" onerror="said.push('script refused')"></script>
<link rel="stylesheet" href="${pacUrl}" onload="said.push('style loaded')" onerror="said.push('style refused')">
<script>
(async () => {
  for (const mode of ['cors', 'no-cors'])
    await fetch('${pacUrl}', { mode }).then((r) => said.push(mode + ' ' + r.type), () => said.push(mode + ' refused'));
  said.push('FindProxyForURL is ' + typeof FindProxyForURL);
  if (typeof FindProxyForURL === 'function') said.push(FindProxyForURL('http://secret.example/', 'secret.example'));
  document.getElementById('result').textContent = said.join('; ');
})();
</script>`;

async function chromium(folder: string, url: string, ...words: string[]): Promise<string> {
  const { out } = await run('chromium', [
    ...['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-sync', '--disable-quic'],
    ...['--disable-background-networking', '--disable-component-update', '--virtual-time-budget=5000'],
    `--user-data-dir=${join(folder, 'chromium')}`,
    '--host-resolver-rules=MAP *.example 127.0.0.1',
    ...words,
    '--dump-dom',
    url,
  ]);
  return out;
}

function tests(): void {
  test('a page of another origin cannot read the PAC, also where its browser sends no Sec-Fetch-Site', async () => {
    using folder = temporaryFolder();
    const pac = join(folder.path, 'office.pac');
    const decides = 'host == "secret.example" ? "DIRECT" : "PROXY p:1; DIRECT"';
    writeFileSync(pac, `function FindProxyForURL(url, host) { return ${decides}; }`);
    await using proxy = await ProxyUnderTest.start(
      { listen: '0.0.0.0:0', open: true, routes: { pac }, guard: { allow: ['127.0.0.1'] } },
      { lookup: async (host) => (host.endsWith('.example') ? ['127.0.0.1'] : []) },
    );
    let page = '';
    const web = createServer((_request, response) => void response.setHeader('Content-Type', 'text/html').end(page));
    web.listen(0, '127.0.0.1');
    await once(web, 'listening');
    const { port } = web.address() as AddressInfo;
    const statuses = () => proxy.records.filter(({ kind }) => kind === 'local').map(({ status }) => status);
    try {
      for (const [site, host, saysWhere] of [
        ['evil.example', 'localhost', true],
        ['evil.example', '127.0.0.1', true],
        // The same site at another port is another origin.
        ['localhost', 'localhost', true],
        // An address of the local network is not trustworthy to a browser, which then sends nothing about the page.
        ['evil.example', MACHINE_IP, false],
      ] as const) {
        const before = statuses().length;
        page = EVIL(`http://${host}:${proxy.port}/proxy.pac`);
        const out = await chromium(folder.path, `http://${site}:${port}/page`, '--no-proxy-server');
        const learned = /<pre id="result">([^<]*)/.exec(out)?.[1] ?? out;
        const expected = ['script refused', 'style refused', 'cors refused', 'no-cors refused'];
        assert.deepEqual(
          learned.split('; ').sort(),
          [...expected, 'FindProxyForURL is undefined'].sort(),
          `${site} ${host}`,
        );
        const answers = statuses().slice(before);
        assert.ok(answers.length >= 3, 'the browser did ask');
        // Where the browser does not send its origin, it gets a response, and keeps that from the page.
        assert.equal(answers.includes(200), !saysWhere, `${site} ${host}: ${answers}`);
      }
      // As its own proxy configuration the browser reads it, and uses it.
      page = '<p id="hello">hello</p>';
      for (const [site, through] of [
        ['secret.example', false],
        ['other.example', true],
      ] as const) {
        const flag = `--proxy-pac-url=http://127.0.0.1:${proxy.port}/proxy.pac`;
        assert.match(
          await chromium(folder.path, `http://${site}:${port}/page`, flag),
          through ? /403|502|hello/ : /hello/,
        );
        assert.equal(
          proxy.records.some(({ target }) => target?.host === site),
          through,
          site,
        );
      }
    } finally {
      web.close();
      web.closeAllConnections();
    }
  });
}

if (isInside()) tests();
else {
  const skip = noNamespace() || missing('chromium');
  test('the PAC in a browser, where nothing else can be reached', { skip, timeout: 120_000 }, () =>
    runInside(import.meta.url),
  );
}

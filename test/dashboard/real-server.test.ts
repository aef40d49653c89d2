/** The dashboard of a real proxy, in a real browser, while clients move bytes through it. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { freePorts } from '../lab/daemon.ts';
import { type Running, viaduct, viaductEnds } from '../support/cli.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { missing } from '../support/requires.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { arrived, counting, type Traffic, TrafficOrigin, tunnel } from '../support/traffic.ts';
import { until as untilHere } from '../support/until.ts';
import { launch, SERIOUS_FAULTS, seeText, until, watchedPage } from './browser.ts';

const MIB = 1_048_576;
const BEGINNING_RATE = 16 * MIB;
/** What the slider is set to: 2^20 bytes per second. */
const SLIDER = 20;
const DOWNLOADS = 4;
const IDLE = 30;
/** In so much time after the rate was set, what is measured must follow. */
const FOLLOWS_MS = 2_000;
const HOSTILE = '<img src=x onerror=alert(1)>';

const targets = (page: Page): Promise<string[]> => page.locator('.grid-body [role=row] a').allTextContents();

/** A proxy that can be started again at the same addresses, with the same state. */
interface Restartable extends Disposable {
  readonly port: number;
  readonly admin: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  link(): Promise<string>;
}

async function restartable(): Promise<Restartable> {
  const folder = temporaryFolder();
  const [port = 0, adminPort = 0] = await freePorts(2);
  const environment = { XDG_STATE_HOME: folder.path };
  const file = join(folder.path, 'viaduct.yaml');
  writeFileSync(
    file,
    `listen: 127.0.0.1:${port}
admin: { listen: "127.0.0.1:${adminPort}" }
access: [{ name: ${JSON.stringify(HOSTILE)}, deny: { hosts: [evil.example] } }, { name: all, default: allow }]
limits: { bandwidth: [{ name: whole, per: proxy, rate: ${BEGINNING_RATE} }] }
routes: { pac: none }
log: { format: off }
timeouts: { drain: 1s }
`,
  );
  let running: Running | undefined;
  return {
    port,
    admin: `http://127.0.0.1:${adminPort}`,
    async start() {
      running = viaduct(['run', '--config', file], environment);
      await running.says('dashboard on ');
    },
    async stop() {
      running?.child.kill('SIGTERM');
      await running?.ended;
    },
    link: async () => (await viaductEnds(['token', '--link'], environment)).out.trim(),
    [Symbol.dispose]() {
      running?.[Symbol.dispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** Whether a tunnel still carries bytes both ways. */
async function answers({ socket }: Traffic): Promise<boolean> {
  if (socket.destroyed) return false;
  const back = new Promise<boolean>((resolve) => {
    socket.once('data', () => resolve(true));
    socket.once('close', () => resolve(false));
  });
  socket.resume();
  socket.write('ping');
  return await back;
}

describe('the dashboard of a real proxy under load', { skip: missing('chromium') }, () => {
  let browser: Browser;
  before(async () => {
    browser = await launch();
  });
  after(() => browser.close());

  test('tunnels appear, are sorted, slowed down and ended, and the page outlives a restart', async () => {
    await using flood = await TrafficOrigin.listen();
    await using quiet = await TrafficOrigin.listen();
    await using site = await RawOrigin.listen(answering(() => ok('hello')));
    using proxy = await restartable();
    await proxy.start();
    using open = new DisposableStack();
    const opens = async (count: number, origin: TrafficOrigin, wish: 'flood 65536' | 'echo') => {
      const all = await Promise.all(Array.from({ length: count }, () => tunnel(proxy.port, origin, wish)));
      for (const one of all) open.use(one);
      return all;
    };
    const idle = await opens(IDLE, quiet, 'echo');
    const isExpected = (text: string) => /ERR_(CONNECTION|INCOMPLETE|EMPTY)/.test(text);
    await using opened = await watchedPage(browser, proxy.admin, { isExpected });
    const { page } = opened;

    // A link signs in once; the code leaves the address.
    await page.goto(await proxy.link());
    await seeText(page, 'Throughput');
    assert.equal(await page.evaluate('location.hash'), '');

    // Tunnels appear while the page is open, and the first click on a rate shows those that move.
    await page.evaluate("location.hash = '#/live'");
    await seeText(page, `${IDLE} of ${IDLE} rows`);
    const downloads = (await opens(DOWNLOADS, flood, 'flood 65536')).map(counting);
    await seeText(page, `${IDLE + DOWNLOADS} of ${IDLE + DOWNLOADS} rows`);
    await page.getByRole('button', { name: 'Target', exact: true }).click();
    await page.getByRole('button', { name: '↓ Rate' }).click();
    await until(
      page,
      `[...document.querySelectorAll('.grid-body [role=row] a')].slice(0, ${DOWNLOADS}).every((one) => one.textContent === '${flood.target}')`,
    );
    assert.equal((await targets(page))[DOWNLOADS], quiet.target);

    // A slider sets the rate: what arrives follows, and so does what the page shows.
    await page.evaluate("location.hash = '#/limits'");
    const slider = page.getByLabel('Rate of whole', { exact: true });
    await slider.fill(String(SLIDER));
    await seeText(page, 'whole is 1.00 MiB/s now');
    const setMs = performance.now();
    await untilHere(() => performance.now() > setMs + FOLLOWS_MS, 'the time in which it must follow');
    const measuring = performance.now();
    await untilHere(() => performance.now() > measuring + 1_000, 'a second to measure');
    const down = downloads.map((one) => one.down);
    const rate = arrived(down, measuring, measuring + 1_000);
    assert.ok(rate > 0.5 * MIB && rate < 1.3 * MIB, `${rate} bytes in the third second`);
    await page.evaluate("location.hash = '#/now'");
    await until(
      page,
      `/^(?:0\\.\\d+|1\\.[012]\\d*) ?MiB|^\\d+(?:\\.\\d+)? ?KiB/.test([...document.querySelectorAll('.figures a')].find((one) => one.textContent.startsWith('To clients'))?.querySelector('.value')?.textContent ?? '')`,
    );
    await seeText(page, 'Held back by limits');

    // What hostile names there are is text.
    using evil = await rawClient(proxy.port);
    evil.send('CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n');
    await evil.ended();
    using odd = await rawClient(proxy.port);
    odd.send(`GET http://${quiet.target}/${HOSTILE} HTTP/1.1\r\nHost: x\r\n\r\nCONNECT "><script>:1 HTTP/1.1\r\n\r\n`);
    await odd.ended();
    await page.evaluate("location.hash = '#/live'");
    await page.getByRole('button', { name: 'All', exact: true }).click();
    await page.getByLabel('Filter').fill(HOSTILE);
    await page.getByRole('link', { name: 'evil.example:443' }).click();
    await seeText(page, HOSTILE);
    await page.evaluate("location.hash = '#/rules'");
    await seeText(page, HOSTILE);
    assert.equal(await page.locator('main img, main script').count(), 0);

    // Ending what the filter shows ends just those, as their clients see it.
    await page.evaluate("location.hash = '#/live'");
    await page.getByRole('button', { name: 'Open', exact: true }).click();
    await page.getByLabel('Filter').fill(`:${flood.port}`);
    await seeText(page, `${DOWNLOADS} of ${IDLE + DOWNLOADS} rows`);
    await page.getByRole('button', { name: `End ${DOWNLOADS} shown` }).click();
    await page.getByLabel('Reason').fill('too much');
    await page.getByRole('button', { name: `End ${DOWNLOADS} requests` }).click();
    await seeText(page, `${DOWNLOADS} requests ended.`);
    await untilHere(() => downloads.every(({ socket }) => socket.destroyed), 'the downloads to be closed');
    assert.deepEqual(await Promise.all(idle.map(answers)), Array(IDLE).fill(true));
    await page.getByRole('button', { name: 'All', exact: true }).click();
    await page.locator('.grid-body .closed a').first().click();
    await seeText(page, 'too much');
    await page.evaluate("location.hash = '#/live'");
    await page.getByLabel('Filter').fill('');

    // One request, with what its steps consisted of.
    await page.getByLabel('Filter').fill(quiet.target);
    await page.getByRole('link', { name: quiet.target }).first().click();
    await seeText(page, 'first byte of the response, 200');
    await seeText(page, 'connected 127.0.0.1');
    await page.setViewportSize({ width: 360, height: 780 });
    const ends = await page.evaluate(
      "document.querySelector('.waterfall').lastElementChild.parentElement.getBoundingClientRect().right",
    );
    assert.ok(Number(ends) <= 360, `a request on a phone: ${ends}`);
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.evaluate("location.hash = '#/live'");
    await page.getByLabel('Filter').fill('');

    // The learner's page, for a request that is made now.
    await page.goto(`${proxy.admin}/explain`);
    await page.getByPlaceholder('https://example.com/').fill(`http://${site.authority}/hello`);
    await page.getByRole('button', { name: 'Explain', exact: true }).click();
    await seeText(page, 'Who speaks with whom');
    await seeText(page, `GET http://${site.authority}/hello HTTP/1.1`);
    assert.equal(site.connections.length, 1);
    await page.evaluate(axe.source);
    assert.deepEqual(await page.evaluate(SERIOUS_FAULTS), [], 'the page that explains');
    assert.equal(await page.evaluate("getComputedStyle(document.querySelector('section.panel')).display"), 'block');

    // The mode has its expiry in sight.
    await page.evaluate("location.hash = '#/control'");
    await page.getByRole('button', { name: 'Direct', exact: true }).click();
    await page.getByRole('button', { name: 'Apply' }).click();
    await seeText(page, /direct for 1[45]:\d\d/);

    // After a restart the page comes back by itself.
    await page.evaluate("location.hash = '#/live'");
    await proxy.stop();
    await seeText(page, 'The proxy does not answer.');
    await seeText(page, /data is \d+ s old/);
    await proxy.start();
    open.use(await tunnel(proxy.port, quiet, 'echo'));
    await page.getByRole('button', { name: 'Open', exact: true }).click();
    await seeText(page, '1 of 1 rows');
    assert.equal(await page.getByText('The proxy does not answer.').count(), 0);

    // On a phone nothing is wider than the screen, and axe finds no serious fault there or here.
    await page.evaluate(axe.source);
    for (const width of [1280, 360]) {
      await page.setViewportSize({ width, height: 780 });
      for (const view of [
        'live',
        'now',
        'limits',
        'rules',
        'control',
        'credentials',
        'totals',
        'upstreams',
        'explain',
      ]) {
        await page.evaluate(`location.hash = '#/${view}'`);
        await until(page, "!document.body.innerText.includes('Reading…')");
        assert.deepEqual(await page.evaluate(SERIOUS_FAULTS), [], `${view} at ${width} px`);
        const wide = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
        assert.ok(Number(wide) <= 0, `${view} is ${wide} px wider than ${width} px`);
      }
    }
    assert.deepEqual(opened.faults, []);
  });
});

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import axe from 'axe-core';
import type { Browser } from 'playwright-core';
import { ROOT } from '../../scripts/tools.ts';
import { missing } from '../support/requires.ts';
import { launch, openPage, SERIOUS_FAULTS, seeText, until } from './browser.ts';
import { FakeApi, TOKEN } from './fake-api.ts';
import { MadeTraffic, rowOf } from './made-traffic.ts';

const VIEWS = [
  'now',
  'live',
  'request/r1',
  'totals',
  'rules',
  'limits',
  'upstreams',
  'pac',
  'credentials',
  'why',
  'control',
  'log',
  'configuration',
];
const GZIP_BYTES_MAX = 60 * 1024;
test('the first load is less than 60 KB, compressed', () => {
  const folder = `${ROOT}dist/dashboard`;
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
  const bytes = files.map((one) => gzipSync(readFileSync(`${one.parentPath}/${one.name}`)).length);
  assert.ok(files.length >= 3, 'a page, a script and a style sheet');
  const sum = bytes.reduce((total, one) => total + one, 0);
  assert.ok(sum < GZIP_BYTES_MAX, `${sum} bytes`);
});

describe('the views of the dashboard', { skip: missing('chromium') }, () => {
  let browser: Browser;
  const api = new FakeApi();

  before(async () => {
    browser = await launch();
    api.limits = [{ name: 'whole', kind: 'bandwidth', per: 'proxy', rate: '2MiB', level: 0.05, active: 3, waiting: 1 }];
    const traffic = new MadeTraffic(60);
    api.tick(traffic.begin());
    api.tick(traffic.next());
    api.tick([
      rowOf('r1', { route: 'http://proxy.example:8080' }),
      rowOf('failed', { state: 'closed', failure: 'dns_failed' }),
    ]);
    await api.start();
  });
  after(async () => {
    await browser.close();
    await api.stop();
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    test(`axe finds no serious fault, ${colorScheme}`, async () => {
      await using opened = await openPage(browser, api, 'now', { colorScheme });
      const { page } = opened;
      await page.evaluate(axe.source);
      for (const view of VIEWS) {
        await page.evaluate(`location.hash = '#/${view}'`);
        await until(
          page,
          "document.querySelector('main > :not(.hidden-text)') !== null && !document.body.innerText.includes('Reading…')",
        );
        assert.deepEqual(await page.evaluate(SERIOUS_FAULTS), [], view);
      }
      assert.deepEqual(opened.faults, []);
    });
  }

  test('axe finds no serious fault where the reader is asked or signs in', async () => {
    await using opened = await openPage(browser, api, 'request/r1', {
      isExpected: (text) => text.includes('401'),
    });
    const { page } = opened;
    await page.evaluate(axe.source);
    await page.getByRole('button', { name: 'End it' }).click();
    await page.getByRole('dialog').waitFor();
    assert.deepEqual(await page.evaluate(SERIOUS_FAULTS), [], 'the question');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Keys' }).click();
    await page.getByRole('dialog').waitFor();
    assert.deepEqual(await page.evaluate(SERIOUS_FAULTS), [], 'the keys');
    await page.keyboard.press('Escape');
    await page.evaluate("location.hash = '#/control'");
    await seeText(page, 'This proxy');
    api.token = 'rotated';
    await page.getByRole('button', { name: 'Reload the configuration' }).click();
    await seeText(page, 'The token is no longer valid.');
    assert.deepEqual(await page.evaluate(SERIOUS_FAULTS), [], 'the page without a token');
    await page.getByLabel('Link or token').fill('rotated');
    await page.getByRole('button', { name: 'Open' }).click();
    await seeText(page, 'This proxy');
    api.token = TOKEN;
    assert.deepEqual(opened.faults, []);
  });

  test('360 pixels are wide enough for every view, and 4K is not too wide', async () => {
    for (const viewport of [
      { width: 360, height: 740 },
      { width: 3840, height: 2160 },
    ]) {
      await using opened = await openPage(browser, api, 'now', { viewport });
      const { page } = opened;
      for (const view of VIEWS) {
        await page.evaluate(`location.hash = '#/${view}'`);
        await until(page, "!document.body.innerText.includes('Reading…')");
        const widest = "Math.max(document.documentElement.scrollWidth, document.querySelector('main').scrollWidth)";
        assert.ok(Number(await page.evaluate(widest)) <= viewport.width, `${view} at ${viewport.width}`);
      }
      assert.deepEqual(opened.faults, []);
    }
  });

  test('1280 pixels show every column that is on by default', async () => {
    await using opened = await openPage(browser, api, 'live');
    const { page } = opened;
    await page.locator('.grid-body [role=row]').first().waitFor();
    const grid = "document.querySelector('.grid').scrollWidth - document.querySelector('.grid').clientWidth";
    assert.equal(await page.evaluate(grid), 0);
    assert.deepEqual(opened.faults, []);
  });

  test('a phone has cards, and a menu behind a button', async () => {
    await using opened = await openPage(browser, api, 'live', { viewport: { width: 360, height: 740 } });
    const { page } = opened;
    await page.locator('.grid-card').first().waitFor();
    await page.getByRole('button', { name: '☰' }).click();
    await page.getByRole('link', { name: 'Limits' }).click();
    await seeText(page, 'whole');
    assert.equal(await page.locator('nav').isVisible(), false);
    assert.deepEqual(opened.faults, []);
  });

  test('the slider of a limit sets its rate, and so does the text beside it', async () => {
    await using opened = await openPage(browser, api, 'limits');
    const { page } = opened;
    const text = page.getByLabel('Rate of whole as text');
    await text.waitFor();
    assert.equal(await text.inputValue(), '2.00 MiB/s');
    await page.getByRole('slider').fill('20');
    await seeText(page, 'whole is 1.00 MiB/s now');
    await text.fill('512KiB');
    await text.press('Enter');
    await seeText(page, 'whole is 512 KiB/s now');
    const rates = api.acts.filter(({ what }) => what === 'PUT limits/whole').map(({ body }) => body);
    assert.deepEqual(rates, [{ rate: 1_048_576 }, { rate: 524_288 }]);
    assert.deepEqual(opened.faults, []);
  });

  test('a number leads to the rows behind it', async () => {
    await using opened = await openPage(browser, api, 'now');
    const { page } = opened;
    await page.getByRole('link', { name: 'dns_failed' }).click();
    await until(page, "location.hash === '#/live'");
    assert.equal(await page.getByLabel('Filter').inputValue(), 'dns_failed');
    await seeText(page, 'failed.example:443');
    assert.deepEqual(opened.faults, []);
  });

  test('the record of a request can be copied where there is no clipboard API', async () => {
    await using opened = await openPage(browser, api, 'request/r1');
    const { page } = opened;
    assert.equal(await page.evaluate('typeof navigator.clipboard'), 'undefined');
    await page.getByRole('button', { name: 'Copy the record' }).click();
    await seeText(page, 'The record is in the clipboard.');
    await page.evaluate("location.hash = '#/log'");
    await page.getByLabel('Filter').focus();
    await page.keyboard.press('Control+V');
    assert.match(await page.getByLabel('Filter').inputValue(), /^\{ *"id": "r1"/);
    assert.deepEqual(opened.faults, []);
  });

  test('a section that this proxy does not have says so, without a request where the API describes itself', async () => {
    await using opened = await openPage(browser, api, 'pac');
    await seeText(opened.page, 'The PAC script: this proxy does not offer it.');
    assert.deepEqual(opened.faults, []);
    api.isDescribed = false;
    const isExpected = (text: string) => text.includes('404');
    await using again = await openPage(browser, api, 'pac', { isExpected });
    await seeText(again.page, 'The PAC script: this proxy does not offer it.');
    api.isDescribed = true;
    assert.deepEqual(again.faults, []);
  });

  test('why answers without a request, and log lines arrive', async () => {
    await using opened = await openPage(browser, api, 'why');
    const { page } = opened;
    await page.getByPlaceholder('https://example.com/').fill('https://who.example/');
    await page.getByRole('button', { name: 'Ask' }).click();
    await seeText(page, 'who.example');
    await seeText(page, 'allow');
    await page.evaluate("location.hash = '#/log'");
    await seeText(page, 'Nothing was logged since this page was opened.');
    api.log('warn', 'the <b>upstream proxy</b> is down');
    await seeText(page, 'the <b>upstream proxy</b> is down');
    assert.deepEqual(opened.faults, []);
  });

  test('the mode is set with an expiry, and a drain asks first', async () => {
    await using opened = await openPage(browser, api, 'control');
    const { page } = opened;
    await page.getByRole('button', { name: 'Direct' }).click();
    await page.getByRole('button', { name: 'Apply' }).click();
    await seeText(page, 'Routes: direct.');
    await page.getByRole('button', { name: 'Drain' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Drain' }).click();
    await seeText(page, 'Draining: ');
    assert.deepEqual(api.acts.slice(-2), [
      { what: 'POST mode', body: { mode: 'direct', for: '15m' } },
      { what: 'POST drain', body: { exit: true } },
    ]);
    assert.deepEqual(opened.faults, []);
  });
});

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { missing } from '../support/requires.ts';
import { addressOf, launch, openPage, seeText, until } from './browser.ts';
import { FakeApi } from './fake-api.ts';
import { MadeTraffic, rowOf } from './made-traffic.ts';

const targets = (page: Page): Promise<string[]> => page.locator('.grid-body [role=row] a').allTextContents();

describe('the live table', { skip: missing('chromium') }, () => {
  let browser: Browser;
  let api: FakeApi;

  before(async () => {
    browser = await launch();
  });
  after(() => browser.close());

  async function started(): Promise<AsyncDisposable> {
    api = new FakeApi();
    await api.start();
    return { [Symbol.asyncDispose]: () => api.stop() };
  }

  test('a link with a one-time code opens it once, and the code leaves the address', async () => {
    await using _ = await started();
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${addressOf(api)}#code=code-1`);
    await seeText(page, 'Throughput');
    assert.equal(await page.evaluate('location.href'), addressOf(api));
    assert.equal(await page.evaluate('isSecureContext'), false);
    await page.evaluate('sessionStorage.clear()');
    await page.goto('about:blank');
    await page.goto(`${addressOf(api)}#code=code-1`);
    await seeText(page, 'The link has been used already');
    assert.equal(await page.evaluate('location.hash'), '');
    await context.close();
  });

  test('rows appear, change and stay dimmed when they have ended', async () => {
    await using _ = await started();
    await using opened = await openPage(browser, api, 'live');
    const { page } = opened;
    await seeText(page, 'No request yet');
    api.tick([rowOf('one'), rowOf('two')]);
    await seeText(page, 'one.example:443');
    api.tick([rowOf('one', { rateDown: 3 * 1024 ** 2 })]);
    await seeText(page, '3.00 MiB/s');
    api.tick([rowOf('two', { state: 'closed', end: 'client' })]);
    await seeText(page, 'closed: client');
    assert.equal(await page.locator('.grid-row.closed').count(), 1);
    assert.deepEqual(opened.faults, []);
  });

  test('the first click on a number sorts descending, the second ascending, and a reload keeps it', async () => {
    await using _ = await started();
    await using opened = await openPage(browser, api, 'live');
    const { page } = opened;
    api.tick([
      rowOf('slow', { rateUp: 1, bytesDown: 30 }),
      rowOf('fast', { rateUp: 9_000, bytesDown: 10 }),
      rowOf('fair', { rateUp: 200, bytesDown: 20 }),
    ]);
    await seeText(page, 'slow.example:443');
    await page.getByRole('button', { name: '↑ Rate' }).click();
    assert.deepEqual(await targets(page), ['fast.example:443', 'fair.example:443', 'slow.example:443']);
    await page.getByRole('button', { name: '↑ Rate' }).click();
    assert.deepEqual(await targets(page), ['slow.example:443', 'fair.example:443', 'fast.example:443']);
    assert.equal(await page.locator('[aria-sort=ascending]').textContent(), '↑ Rate ▲');
    await page.getByRole('button', { name: 'Received' }).click();
    await page.reload();
    await seeText(page, 'slow.example:443');
    assert.deepEqual(await targets(page), ['slow.example:443', 'fair.example:443', 'fast.example:443']);
    assert.deepEqual(opened.faults, []);
  });

  test('the filter searches addresses and names, and is kept; ending what it shows ends just those', async () => {
    await using _ = await started();
    await using opened = await openPage(browser, api, 'live');
    const { page } = opened;
    api.tick([
      rowOf('a', { address: '198.51.100.7' }),
      rowOf('b', { clientName: 'laptop.lan.example' }),
      rowOf('c', { address: '198.51.100.7' }),
      rowOf('gone', { address: '198.51.100.7', state: 'closed' }),
    ]);
    await seeText(page, 'a.example:443');
    await page.getByLabel('Filter').fill('laptop');
    assert.deepEqual(await targets(page), ['b.example:443']);
    await page.getByLabel('Filter').fill('198.51.100.7');
    await page.reload();
    await seeText(page, '3 of 4 rows');
    await page.getByRole('button', { name: 'End 2 shown' }).click();
    await page.getByLabel('Reason').fill('too much');
    await page.getByRole('button', { name: 'End 2 requests' }).click();
    await seeText(page, '2 requests ended.');
    assert.deepEqual(api.acts, [{ what: 'POST tunnels/end', body: { ids: ['a', 'c'], reason: 'too much' } }]);
    await page.getByLabel('Filter').fill('');
    await page.getByRole('button', { name: 'Open', exact: true }).click();
    assert.deepEqual(await targets(page), ['b.example:443']);
    assert.deepEqual(opened.faults, []);
  });

  test('ending one asks first; no is no', async () => {
    await using _ = await started();
    await using opened = await openPage(browser, api, 'live');
    const { page } = opened;
    api.tick([rowOf('a'), rowOf('b')]);
    await page.getByLabel('End a.example:443').click();
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.getByLabel('End b.example:443').click();
    await page.getByRole('button', { name: 'End it' }).click();
    await seeText(page, 'b.example:443 was ended.');
    assert.deepEqual(api.acts, [{ what: 'DELETE tunnels/b', body: undefined }]);
    assert.deepEqual(opened.faults, []);
  });

  test('a pause keeps the rows and lets the counters count', async () => {
    await using _ = await started();
    await using opened = await openPage(browser, api, 'live');
    const { page } = opened;
    api.tick([rowOf('before')]);
    await seeText(page, 'before.example:443');
    await page.keyboard.press('p');
    api.tick([rowOf('meanwhile')]);
    await seeText(page, 'paused; 2 are open now');
    assert.deepEqual(await targets(page), ['before.example:443']);
    await page.getByRole('button', { name: 'Resume' }).click();
    assert.equal((await targets(page)).length, 2);
    assert.deepEqual(opened.faults, []);
  });

  test('it says that the proxy is gone and how old its data is, and comes back by itself', async () => {
    await using _ = await started();
    const isExpected = (text: string) => /ERR_(CONNECTION|INCOMPLETE|EMPTY)/.test(text);
    await using opened = await openPage(browser, api, 'live', { isExpected });
    const { page } = opened;
    api.tick([rowOf('before')]);
    await seeText(page, 'before.example:443');
    await api.stop();
    await seeText(page, 'The proxy does not answer.');
    await seeText(page, /data is [2-9] s old/);
    await api.start();
    api.tick([rowOf('after')]);
    await seeText(page, 'after.example:443');
    assert.equal(await page.getByText('The proxy does not answer.').count(), 0);
    assert.deepEqual(opened.faults, []);
  });

  test('hostile names are shown as text', async () => {
    await using _ = await started();
    await using opened = await openPage(browser, api, 'live');
    const { page } = opened;
    const hostile = [
      '<img src=x onerror=alert(1)>.example:443',
      '"><script>alert(2)</script>:443',
      'javascript:alert(3)//:443',
      '\u202egnp.example:443',
    ];
    api.tick(hostile.map((target, at) => rowOf(`h${at}`, { target, clientName: target, user: target, rule: target })));
    await until(page, "document.querySelectorAll('.grid-body [role=row]').length === 4");
    assert.deepEqual((await targets(page)).sort(), hostile.toSorted());
    for (const at of hostile.keys()) {
      await page.goto(`${addressOf(api)}#/request/h${at}`);
      await page.getByRole('button', { name: 'Copy the record' }).waitFor();
    }
    assert.equal(await page.locator('main img, main script').count(), 0);
    assert.deepEqual(opened.faults, []);
  });

  test('5,000 rows: only those in sight are in the document, and the last can be reached', async () => {
    await using _ = await started();
    const traffic = new MadeTraffic(5_000);
    api.tick(traffic.begin());
    await using opened = await openPage(browser, api, 'live');
    const { page } = opened;
    await seeText(page, '5,000 of 5,000 rows');
    assert.ok((await page.locator('.grid-body [role=row]').count()) < 80);
    await page.locator('.grid').focus();
    await page.keyboard.press('End');
    await until(page, "document.querySelector('.selected')?.getAttribute('aria-rowindex') === '5001'");
    api.tick(traffic.next());
    assert.deepEqual(opened.faults, []);
  });

  test('what is shown can be saved, with no formula in it', async () => {
    await using _ = await started();
    await using opened = await openPage(browser, api, 'live', { acceptDownloads: true });
    const { page } = opened;
    api.tick([rowOf('a', { user: '=1+1' })]);
    await seeText(page, 'a.example:443');
    await page.getByText('Export').click();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'CSV' }).click(),
    ]);
    let text = '';
    for await (const chunk of await download.createReadStream()) text += chunk;
    assert.match(text, /^id,kind,state,.*\r\na,tunnel,relay,CONNECT,a\.example:443,.*'=1\+1/);
    assert.deepEqual(opened.faults, []);
  });
});

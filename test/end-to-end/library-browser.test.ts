/** Debian's Chromium, driven by Playwright, through a proxy of a program that rotates upstream proxies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chromium } from 'playwright-core';
import { type ProxyRecord, startProxy } from '../../src/index.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { missing } from '../support/requires.ts';

test('each browser session leaves by its own upstream proxy, and its traffic is metered by its user', {
  skip: missing('chromium'),
  timeout: 60_000,
}, async () => {
  const page = (by: string) =>
    RawOrigin.listen(answering(() => ok(`<title>by ${by}</title>`, 'Content-Type: text/html')));
  await using a = await page('a');
  await using b = await page('b');
  const exits: Readonly<Record<string, string>> = { ann: `http://${a.authority}`, bob: `http://${b.authority}` };
  const records: ProxyRecord[] = [];
  await using proxy = await startProxy({
    authenticate: (ctx) => (ctx.password === 'secret' ? { id: ctx.username } : null),
    // A browser asks its maker about many things.
    authorize: (ctx) => (ctx.target.host === 'exit.example' ? ctx.allow() : ctx.deny()),
    route: (ctx) => exits[ctx.user?.id ?? ''] ?? 'direct',
  });
  proxy.on('close', ({ record }) => records.push(record));
  const titles: string[] = [];
  for (const username of ['ann', 'bob']) {
    const browser = await chromium.launch({
      executablePath: '/usr/bin/chromium',
      args: ['--no-sandbox'],
      proxy: { server: proxy.url, username, password: 'secret' },
    });
    try {
      const tab = await browser.newPage();
      await tab.goto('http://exit.example/');
      titles.push(await tab.title());
    } finally {
      await browser.close();
    }
  }
  assert.deepEqual(titles, ['by a', 'by b']);
  for (const user of ['ann', 'bob']) {
    const own = records.filter(({ principal, target }) => principal === user && target?.host === 'exit.example');
    assert.ok(own.some(({ status, bytesDown }) => status === 200 && bytesDown > 0));
  }
});

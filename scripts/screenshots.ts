/**
 * Takes the pictures of the dashboard in docs/ with Chromium, from the built page and made traffic:
 * `node scripts/screenshots.ts` after `npm run build`.
 */
import { addressOf, launch, openPage, seeText, until } from '../test/dashboard/browser.ts';
import { FakeApi } from '../test/dashboard/fake-api.ts';
import { MadeTraffic } from '../test/dashboard/made-traffic.ts';
import { ROOT } from './tools.ts';

/** How long a curve is drawn, in ticks of a second. */
const TICKS = 45;
const MADE_ROWS = 1_200;

async function main(): Promise<void> {
  const api = new FakeApi();
  const traffic = new MadeTraffic(MADE_ROWS);
  api.tick(traffic.begin());
  await api.start();
  const browser = await launch();
  {
    await using desktop = await openPage(browser, api, 'now', { viewport: { width: 1280, height: 800 } });
    await using phone = await openPage(browser, api, 'live', {
      viewport: { width: 390, height: 780 },
      deviceScaleFactor: 2,
      colorScheme: 'dark',
    });
    const timer = setInterval(() => api.tick(traffic.next()), 1_000);
    await seeText(desktop.page, 'Throughput');
    await until(desktop.page, `performance.now() > ${TICKS} * 1000`, (TICKS + 30) * 1_000);
    await desktop.page.screenshot({ path: `${ROOT}docs/dashboard.png` });
    await desktop.page.goto(`${addressOf(api)}#/live`);
    await seeText(desktop.page, 'rows');
    await desktop.page.screenshot({ path: `${ROOT}docs/dashboard-live.png` });
    await phone.page.screenshot({ path: `${ROOT}docs/dashboard-phone.png` });
    clearInterval(timer);
  }
  await browser.close();
  await api.stop();
}

if (import.meta.main) await main();

import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { type FakeApi, TOKEN } from './fake-api.ts';

/** A name that is not loopback, so that the page runs without what browsers keep for secure contexts. */
const HOST = 'viaduct.test';

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  // Every other name ends here: a page that loads from elsewhere fails without a packet.
  `--host-resolver-rules=MAP ${HOST} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`,
];

/** How long the page may take for what a test waits for; the machine may be busy. */
const WAIT_MS = 15_000;

/** A page of the dashboard with what must not happen in it. */
export interface OpenPage extends AsyncDisposable {
  readonly page: Page;
  /** Errors of the console, uncaught errors, and requests to other hosts. */
  readonly faults: readonly string[];
}

export const launch = (): Promise<Browser> => chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS });

export const addressOf = (api: FakeApi): string => api.url.replace('127.0.0.1', HOST);

/** `isExpected` names console errors that a test causes on purpose. */
export type PageOptions = BrowserContextOptions & { readonly isExpected?: (text: string) => boolean };

/** Opens a view with the token of the tests. */
export async function openPage(
  browser: Browser,
  api: FakeApi,
  view: string,
  options: PageOptions = {},
): Promise<OpenPage> {
  const opened = await watchedPage(browser, addressOf(api), options);
  // Once for the context: a reload must find what the page itself has stored.
  await opened.page.context().addInitScript(`sessionStorage.setItem('viaduct.token', ${JSON.stringify(TOKEN)})`);
  await opened.page.goto(`${addressOf(api)}#/${view}`);
  return opened;
}

/** An empty page that may load from `address` alone. */
export async function watchedPage(browser: Browser, address: string, options: PageOptions = {}): Promise<OpenPage> {
  const { isExpected = () => false, ...how } = options;
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...how });
  context.setDefaultTimeout(WAIT_MS);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' && !isExpected(message.text())) faults.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => faults.push(`uncaught: ${error.message}`));
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(address) && !request.url().startsWith('blob:'))
      faults.push(`request to ${request.url()}`);
  });
  return { page, faults, [Symbol.asyncDispose]: () => context.close() };
}

/**
 * Waits until an expression of the page holds. Not by `waitForFunction`, which compiles it in the page for each look, and
 * the policy of the page forbids that.
 */
export const until = async (page: Page, expression: string, waitMs = WAIT_MS): Promise<void> => {
  await page.evaluate(`new Promise((resolve, reject) => {
    const end = performance.now() + ${waitMs};
    const look = () => {
      if (${expression}) resolve();
      else if (performance.now() > end) reject(new Error('not within ${waitMs} ms'));
      else requestAnimationFrame(look);
    };
    look();
  })`);
};

/** Names of the serious faults that axe finds in the page; its source must have been evaluated there. */
export const SERIOUS_FAULTS = `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations
  .filter(({ impact }) => impact === 'serious' || impact === 'critical')
  .map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html).join(' ').slice(0, 300)))`;

/** Waits until a text can be seen. */
export const seeText = (page: Page, text: string | RegExp): Promise<void> =>
  page.getByText(text).first().waitFor({ state: 'visible' });

/** Every recipe of docs/LIBRARY.md prints what stands below it. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { ROOT } from '../../scripts/tools.ts';
import { answering, echo, ok, RawOrigin } from '../support/origin.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';

const PAGE = readFileSync(`${ROOT}docs/LIBRARY.md`, 'utf8');
const RECIPE = /```ts\n\/\/ recipe: (\w+)\n([\s\S]*?)```\n\n```text\n([\s\S]*?)```/g;
/** Inside the package, so that its own name leads to it. */
const FOLDER = `${ROOT}.cache/recipes/`;
mkdirSync(FOLDER, { recursive: true });
after(() => rmSync(FOLDER, { recursive: true, force: true }));

const recipes = [...PAGE.matchAll(RECIPE)].map(([, name = '', code = '', printed = '']) => ({ name, code, printed }));

test('every recipe is found', () => {
  assert.deepEqual(
    recipes.map(({ name }) => name),
    [...PAGE.matchAll(/^\/\/ recipe: (\w+)/gm)].map(([, name]) => name),
  );
  assert.ok(recipes.length >= 6);
});

/** Recipes that start a browser, and how the test finds the one that is there: as root it has no sandbox. */
const BROWSERS: Readonly<Record<string, readonly [from: string, to: string]>> = {
  playwright: ['chromium.launch({', "chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'],"],
  puppeteer: ["channel: 'chrome', args: [", "executablePath: '/usr/bin/chromium', args: ['--no-sandbox', "],
};

for (const { name, code, printed } of recipes) {
  const browser = BROWSERS[name];
  const skip = browser === undefined ? false : missing('chromium');
  test(`recipe ${name}`, { skip, timeout: 60_000 }, async () => {
    const proxyNamed = (by: string) =>
      RawOrigin.listen(
        answering(({ head }) => {
          const [, login] = /^Proxy-Authorization: Basic (\S+)/im.exec(head) ?? [];
          const as = login === undefined ? '' : ` as ${Buffer.from(login, 'base64').toString()}`;
          return ok(`by ${by}${as}`);
        }),
      );
    await using a = await proxyNamed('a');
    await using b = await proxyNamed('b');
    await using login = await proxyNamed('login');
    await using database = await RawOrigin.listen(echo);
    await using origin = await RawOrigin.listen(
      answering(({ head }) => {
        const path = /^GET (?:http:\/\/[^/]+)?(\/\S*)/.exec(head)?.[1];
        const body = { '/twelve': 'twelve bytes', '/long': 'x'.repeat(16_384) }[path ?? ''] ?? 'hello';
        return ok(body);
      }),
    );
    const hosts: Readonly<Record<string, string>> = {
      'a.proxy.example:8080': a.authority,
      'b.proxy.example:8080': b.authority,
      'login.proxy.example:8080': login.authority,
      'database.example:5432': database.authority,
      'http://origin.example': `http://${origin.authority}`,
    };
    let program = browser === undefined ? code : code.replace(...browser);
    for (const [from, to] of Object.entries(hosts)) program = program.replaceAll(from, to);
    // Names that have to stay lead to the origin by a resolver of the test.
    program = program
      .replace('startProxy({', `startProxy({\n  lookup: () => '127.0.0.1',`)
      .replaceAll(/(\$\{name\}\.example)\//g, `$1:${origin.port}/`);
    const file = `${FOLDER}${name}.ts`;
    writeFileSync(file, program);
    assert.deepEqual(await run(process.execPath, [file]), { code: 0, out: printed, err: '' });
  });
}

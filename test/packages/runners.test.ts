/** The package inside the test runners that programs use: no open handle keeps one from its end, and no global is left. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { hasPackage, otherPackage } from '../../scripts/other-packages.ts';
import { ROOT } from '../../scripts/tools.ts';
import { installPackage, runIn } from '../support/installed-package.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary.ts';

/** 180 packages, 54 MB: nothing else here needs them. */
const JEST = 'jest@30';

/** Plain requests and a tunnel through a proxy with hooks, then its end. */
const BODY = `
  const before = Object.keys(globalThis);
  const proxy = await startProxy({
    authenticate: (ctx) => ctx.anonymous(),
    respond: () => ({ status: 200, body: 'hello' }),
    tunnel: () => createServer((request, response) => response.end('tunnel')),
    limit: () => ({ down: [{ key: 'all', rate: '1MiB' }] }),
  });
  const fetch = fetchVia(proxy.url);
  const said = await (await fetch('http://a.example/')).text();
  const inside = fetchVia(proxy.url, { tunnel: 'all' });
  const tunnelled = await (await inside('http://a.example/')).text();
  for (const one of [fetch, inside]) await one[Symbol.asyncDispose]();
  await proxy.close();
  const globals = Object.keys(globalThis).filter((name) => !before.includes(name));
`;
const IMPORTS = `import { createServer } from 'node:http';\nimport { fetchVia, startProxy } from 'viaduct';\n`;
const EXPECTED = `[said, tunnelled, globals.join()]`;
const WANTED = `['hello', 'tunnel', '']`;
const ASSERTING = `import assert from 'node:assert/strict';\n${IMPORTS}`;
const asserting = (word: string): string =>
  `${word}('a proxy', async () => {${BODY}  assert.deepEqual(${EXPECTED}, ${WANTED});\n});\n`;
const expecting = `test('a proxy', async () => {${BODY}  expect(${EXPECTED}).toEqual(${WANTED});\n});\n`;

interface Runner {
  readonly file: string;
  readonly text: string;
  readonly words: () => readonly string[];
  readonly passed: RegExp;
}

const RUNNERS: Readonly<Record<string, Runner>> = {
  'node:test': {
    file: 'node.test.mjs',
    text: `${ASSERTING}import { test } from 'node:test';\n${asserting('test')}`,
    words: () => ['--test', 'node.test.mjs'],
    passed: /^ℹ pass 1$/m,
  },
  mocha: {
    file: 'mocha.spec.mjs',
    text: ASSERTING + asserting('it'),
    // It waits until nothing is open, unless `--exit` is given.
    words: () => [`${ROOT}node_modules/mocha/bin/mocha.js`, '--check-leaks', 'mocha.spec.mjs'],
    passed: /1 passing/,
  },
  vitest: {
    file: 'vitest.test.mjs',
    text: `${IMPORTS}import { expect, test } from 'vitest';\n${expecting}`,
    words: () => [`${ROOT}node_modules/vitest/vitest.mjs`, 'run', 'vitest.test.mjs'],
    passed: /Tests\s+1 passed/,
  },
  jest: {
    file: 'jest.test.mjs',
    text: IMPORTS + expecting,
    words: () => [
      '--experimental-vm-modules',
      `${otherPackage(JEST)}/bin/jest.js`,
      '--detectOpenHandles',
      '--testMatch=**/jest.test.mjs',
      '--watchman=false',
    ],
    passed: /Tests:\s+1 passed/,
  },
};

let folder: TemporaryFolder;
before(() => {
  folder = temporaryFolder();
  folder.write('package.json', '{"type":"module"}');
  installPackage(folder, 'vitest');
});
after(() => folder[Symbol.dispose]());

for (const [name, { file, text, words, passed }] of Object.entries(RUNNERS)) {
  const isAtHand = name !== 'jest' || process.env.CI === 'true' || hasPackage(JEST);
  test(`a proxy in a test of ${name} leaves no open handle and no global, and the runner ends by itself`, {
    skip: isAtHand ? false : 'CI=true brings Jest by npm',
    timeout: 120_000,
  }, () => {
    folder.write(file, text);
    const { said, status } = runIn(folder, words(), { NO_COLOR: '1', FORCE_COLOR: undefined, CI: 'true' });
    assert.equal(status, 0, said);
    assert.match(said, passed);
    assert.doesNotMatch(said, /open handle|did not exit|leak|close timed out|worker process has failed/i);
  });
}

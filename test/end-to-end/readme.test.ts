import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { transform } from 'esbuild';
import { parse as parseYaml } from 'yaml';
import { parse } from '../../src/cli/parse.ts';
import { checkInput } from '../../src/config/schema.ts';

/** The page beside the lock file: compiled tests lie elsewhere, and `test/` has a page of its own. */
async function readmeAbove(folder: string): Promise<string> {
  if (existsSync(join(folder, 'package-lock.json'))) return await readFile(join(folder, 'README.md'), 'utf8');
  if (folder === dirname(folder)) throw new Error('there is no folder with a lock file above');
  return readmeAbove(dirname(folder));
}
const README = await readmeAbove(import.meta.dirname);

/** Fenced blocks of one language, in order. */
const blocks = (language: string): string[] =>
  [...README.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, name]) => name === language)
    .map(([, , text = '']) => text);

test('the program in README runs, and prints the refusal that it provokes', async () => {
  const [program = ''] = blocks('ts');
  const folder = await mkdtemp(join(tmpdir(), 'viaduct-readme-'));
  try {
    const door = new URL(`../../src/index${extname(import.meta.filename)}`, import.meta.url).href;
    const file = join(folder, 'program.mjs');
    const { code } = await transform(program.replace("from 'viaduct'", `from '${door}'`), {
      loader: 'ts',
      target: 'es2022',
    });
    await writeFile(file, code);
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [file], { timeout: 20_000 });
    assert.match(stdout, /example\.com.*denied/s);
    assert.match(stdout, /upstream_refused/);
    assert.equal(stderr.replace(/.*ExperimentalWarning.*\n.*\n/, ''), '');
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('every configuration in README is valid', () => {
  const configurations = blocks('yaml');
  assert.ok(configurations.length >= 2);
  for (const text of configurations) assert.deepEqual(checkInput(parseYaml(text)).problems, [], text);
});

test('every viaduct command in README is one', () => {
  const commands = blocks('sh')
    .flatMap((block) => block.split('\n'))
    .filter((line) => line.startsWith('viaduct '));
  assert.ok(commands.length >= 4);
  for (const line of commands) assert.equal(parse(line.split(' ').slice(1)).do, 'call', line);
});

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { ROOT } from '../../scripts/tools.ts';

for (const [name, file] of [
  ['the command', 'dist/cli.js'],
  ['the library', 'dist/lib/index.js'],
] as const) {
  test(`${name} does not load the undici of Node at its start`, () => {
    const program = `
      process.argv.push('viaduct', '--version');
      process.on('exit', () => console.log(process.moduleLoadList.filter((name) => name.includes('undici')).join()));
      await import(${JSON.stringify(`file://${ROOT}${file}`)});`;
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    assert.match(printed, /^(viaduct .*)?\n+$/);
  });
}

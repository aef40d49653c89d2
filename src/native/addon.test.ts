import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ABI } from './abi.ts';
import { checkAbi, loadAddon } from './addon.ts';

const { addon } = loadAddon();

test('the addon that is built has the ABI of these sources', { skip: addon === undefined && 'not built' }, () => {
  assert.equal(addon?.abi, ABI);
});

test('an addon of another ABI is not used, and the message says what to run', () => {
  const whys = [{ abi: ABI + 1, start() {} }, {}, undefined].map((exported) => {
    const checked = checkAbi('linux-x64.node', exported);
    return checked.addon === undefined ? checked.why : 'used';
  });
  const message = (abi: number | string) =>
    `linux-x64.node was built from other sources (ABI ${abi}, not ${ABI}); run \`npm run build\``;
  assert.deepEqual(whys, [message(ABI + 1), message('unknown'), message('unknown')]);
});

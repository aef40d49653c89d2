import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchCommand, commandPath, startedCommand } from './started-command.ts';

test('a batch file of Windows is started by cmd.exe, which reads no character of the words as its own', () => {
  assert.deepEqual(
    batchCommand('C:\\Program Files\\nodejs\\npm.cmd', ['run', 'a b', '%PATH%&calc', 'a"\\'], 'cmd.exe'),
    {
      program: 'cmd.exe',
      words: [
        '/d',
        '/s',
        '/c',
        '"C:\\Program^ Files\\nodejs\\npm.cmd ^"run^" ^"a^ b^" ^"^%PATH^%^&calc^" ^"a\\^"\\\\^""',
      ],
      windowsVerbatimArguments: true,
    },
  );
  const shim = batchCommand('C:\\p\\node_modules\\.bin\\tsc.cmd', ['a&b'], 'cmd.exe');
  assert.equal(shim.words.at(-1), '"C:\\p\\node_modules\\.bin\\tsc.cmd ^^^"a^^^&b^^^""');
});

test('elsewhere a command is started as it was given, and found on PATH or by its path', {
  skip: process.platform === 'win32' && 'of other systems',
}, () => {
  assert.deepEqual(startedCommand('npm', ['a b'], {}), { program: 'npm', words: ['a b'] });
  assert.equal(commandPath('sh', { PATH: '/nonexistent:/bin' }), '/bin/sh');
  assert.equal(commandPath('/bin/sh', { PATH: '' }), '/bin/sh');
  assert.equal(commandPath('no-such-command', { PATH: '/bin' }), undefined);
});

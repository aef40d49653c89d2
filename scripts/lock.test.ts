import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leftOut } from './lock.ts';

test('platform packages that npm left out are written in, with the machines they are for', () => {
  const missing = leftOut({
    '': { optionalDependencies: {} },
    'node_modules/tool': {
      dev: true,
      optionalDependencies: {
        '@tool/linux-x64-musl': '1.2.3',
        '@tool/win32-arm64-msvc': '1.2.3',
        '@tool/here': '1.0.0',
      },
    },
    'node_modules/@tool/here': { version: '1.0.0', integrity: 'sha512-x' },
    'node_modules/@tool/win32-arm64-msvc': { version: '1.2.3', optional: true },
  });
  assert.deepEqual(missing, {
    'node_modules/@tool/linux-x64-musl': {
      version: '1.2.3',
      os: ['linux'],
      cpu: ['x64'],
      libc: ['musl'],
      dev: true,
      optional: true,
    },
    'node_modules/@tool/win32-arm64-msvc': {
      version: '1.2.3',
      os: ['win32'],
      cpu: ['arm64'],
      dev: true,
      optional: true,
    },
  });
});

test('a package without an exact version cannot be written in', () => {
  assert.throws(() => leftOut({ '': { optionalDependencies: { a: '^1.0.0' } } }), /not an exact version/);
});

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { manPage } from '../../scripts/package/man.ts';
import { ASSETS, hashesOf, manifests } from '../../scripts/package/manifests.ts';
import { product } from '../../scripts/package/product.ts';
import { COMMANDS } from '../../src/cli/commands.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

test('the man page names every command, and troff has nothing to warn of', {
  skip: missing('groff-base'),
}, async () => {
  using folder = temporaryFolder();
  const page = folder.write('viaduct.1', manPage('2026-01-02'));
  const { code, out, err } = await run('groff', ['-man', '-Tutf8', '-ww', page], {
    environment: { LC_ALL: 'C.UTF-8' },
  });
  assert.deepEqual([code, err], [0, '']);
  const plain = out.replace(/\x1b\[[\d;]*m|.\x08/g, '');
  for (const { name } of COMMANDS.slice(1)) assert.match(plain, new RegExp(`^ {3}${name}\\b`, 'm'));
});

test('every package manager gets the hash and the address of its file', async () => {
  using folder = temporaryFolder();
  for (const name of Object.values(ASSETS)) writeFileSync(join(folder.path, name), name);
  const hashes = hashesOf(folder.path);
  const texts = manifests(hashes);
  const { version, downloads } = product();
  const text = (ending: string): string => [...texts].find(([path]) => path.endsWith(ending))?.[1] ?? '';
  const scoop: unknown = JSON.parse(text('viaduct.json'));
  assert.deepEqual(Reflect.get(Object(scoop), 'architecture'), {
    '64bit': { url: `${downloads}/${ASSETS.windowsX64}#/viaduct.exe`, hash: hashes.windowsX64 },
  });
  const installer: unknown = parse(text('installer.yaml'));
  assert.deepEqual(Reflect.get(Object(installer), 'Installers'), [
    {
      Architecture: 'x64',
      InstallerUrl: `${downloads}/${ASSETS.windowsX64}`,
      InstallerSha256: hashes.windowsX64.toUpperCase(),
    },
  ]);
  for (const ending of ['Viaduct.yaml', 'en-US.yaml', 'installer.yaml'])
    assert.equal(Reflect.get(Object(parse(text(ending))), 'PackageVersion'), version);
  assert.match(text('viaduct.rb'), new RegExp(`url "${downloads}/${ASSETS.npm}"\\n  sha256 "${hashes.npm}"`));
  const build = folder.write('PKGBUILD', text('PKGBUILD'));
  const { out, err } = await run('bash', [
    '-c',
    `. ${build} && echo "$pkgver $source_x86_64 $sha256sums_x86_64 $sha256sums_aarch64"`,
  ]);
  assert.deepEqual(
    [out, err],
    [`${version} ${downloads}/${ASSETS.linuxX64} ${hashes.linuxX64} ${hashes.linuxArm64}\n`, ''],
  );
});

test('a release that lacks a file has no texts', () => {
  using folder = temporaryFolder();
  assert.throws(() => hashesOf(folder.path), /viaduct-\S+\.tgz is missing/);
});

test('the release workflow and the image make packages by scripts of npm that exist', () => {
  const text = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
  const { scripts } = JSON.parse(text('package.json'));
  for (const path of ['.github/workflows/release.yml', 'deploy/container/Dockerfile']) {
    assert.doesNotMatch(text(path), /node scripts\//, path);
    const named = [...text(path).matchAll(/npm run ([\w:-]+)/g)].map(([, name = '']) => name);
    assert.ok(named.includes('package:npm'), path);
    assert.deepEqual(
      named.filter((name) => !Object.hasOwn(scripts, name)),
      [],
      path,
    );
  }
});

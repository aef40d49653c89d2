/**
 * `node scripts/package/linux.ts [deb] [rpm]`: packages for Debian and Fedora in .cache/packages, from one list of files. They hold
 * the executable of one file, since no distribution has a Node that is new enough. Needs dpkg-deb and gzip, or rpmbuild.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { systemdSocket, systemdUnit } from '../../src/cli/service/systemd.ts';
import { build, isStale } from '../build.ts';
import { ROOT } from '../tools.ts';
import { buildExecutable } from './executable.ts';
import { manPage } from './man.ts';
import { PACKAGES, product } from './product.ts';

/** Last change of what is packed, for every date in a package: the same sources then give the same bytes. */
const epoch = (): number => {
  const { stdout } = spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: ROOT, encoding: 'utf8' });
  return Number(process.env.SOURCE_DATE_EPOCH ?? (stdout.trim() || 0));
};

type PackedFile = { readonly path: string; readonly mode: number } & (
  | { readonly from: string }
  | { readonly bytes: Buffer }
);

const text = (path: string, content: string): PackedFile => ({ path, mode: 0o644, bytes: Buffer.from(content) });
/** A file of deploy/. */
const deployed = (path: string, from: string): PackedFile => text(path, readFileSync(`${ROOT}deploy/${from}`, 'utf8'));
/** As `gzip -9n`: without a name and a time. */
const zipped = (path: string, content: string): PackedFile => ({
  path,
  mode: 0o644,
  bytes: gzipSync(content, { level: 9 }),
});

function completion(executable: string, shell: string): string {
  const { stdout, status } = spawnSync(executable, ['completion', shell], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the executable prints no completion for ${shell}`);
  return stdout;
}

/** What both kinds of package hold. */
function filesOf(executable: string, kind: 'deb' | 'rpm'): PackedFile[] {
  const zsh = kind === 'deb' ? 'usr/share/zsh/vendor-completions/_viaduct' : 'usr/share/zsh/site-functions/_viaduct';
  return [
    { path: 'usr/bin/viaduct', mode: 0o755, from: executable },
    text('usr/lib/systemd/user/viaduct.service', systemdUnit(['/usr/bin/viaduct', 'run'], 'alone')),
    // Apart from the unit, to be enabled by hand: what the configuration of a user listens on is not known here.
    text('usr/lib/systemd/user/viaduct.socket', systemdSocket(['127.0.0.1:3128'])),
    text('usr/share/bash-completion/completions/viaduct', completion(executable, 'bash')),
    text(zsh, completion(executable, 'zsh')),
    text('usr/share/fish/vendor_completions.d/viaduct.fish', completion(executable, 'fish')),
    zipped('usr/share/man/man1/viaduct.1.gz', manPage(new Date(epoch() * 1000).toISOString().slice(0, 10))),
    deployed('usr/lib/systemd/system/viaduct.service', 'systemd/viaduct.service'),
    deployed('usr/lib/systemd/system/viaduct.socket', 'systemd/viaduct.socket'),
    // Not in /etc: an update would have to ask about it there.
    deployed('usr/share/doc/viaduct/examples/viaduct.yaml', 'systemd/viaduct.yaml'),
  ];
}

function writeTree(root: string, files: readonly PackedFile[]): void {
  for (const file of files) {
    const path = join(root, file.path);
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    if ('from' in file) copyFileSync(file.from, path);
    else writeFileSync(path, file.bytes);
    chmodSync(path, file.mode);
  }
}

const DEB_CPU: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
const RPM_CPU: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };

/** Node's own texts name more; these are those of the parts that a reader looks for. */
function copyright(): string {
  const license = readFileSync(`${ROOT}LICENSE`, 'utf8').trim();
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Viaduct
Source: ${product().homepage}
Comment: The executable contains Node.js (MIT, with parts under the terms that
 its LICENSE lists) and packages from npm under MIT, ISC and Apache-2.0.

Files: *
Copyright: The Viaduct authors
License: MIT
${license
  .split('\n')
  .map((line) => (line.trim() === '' ? ' .' : ` ${line}`))
  .join('\n')}
`;
}

export function buildDeb(executable: string, into = PACKAGES): string {
  const { name, version, summary, description, homepage, maintainer } = product();
  const root = join(into, 'deb');
  rmSync(root, { recursive: true, force: true });
  const changes = `${name} (${version}) unstable; urgency=medium\n\n  * See ${homepage}.\n\n -- ${maintainer}  ${new Date(epoch() * 1000).toUTCString().replace('GMT', '+0000')}\n`;
  const files = [
    ...filesOf(executable, 'deb'),
    text('usr/share/doc/viaduct/copyright', copyright()),
    zipped('usr/share/doc/viaduct/changelog.gz', changes),
    text(
      'usr/share/lintian/overrides/viaduct',
      [
        '# One file that contains Node.js, which brings its own libraries: Debian has none that is new enough.',
        'viaduct: embedded-library *',
        '',
      ].join('\n'),
    ),
  ];
  writeTree(root, files);
  const installedKb = Math.ceil(files.reduce((sum, file) => sum + statSync(join(root, file.path)).size, 0) / 1024);
  const cpu = DEB_CPU[process.arch] ?? process.arch;
  const sums = files.map(
    ({ path }) =>
      `${createHash('md5')
        .update(readFileSync(join(root, path)))
        .digest('hex')}  ${path}\n`,
  );
  writeTree(root, [
    text('DEBIAN/md5sums', sums.join('')),
    text(
      'DEBIAN/control',
      `Package: ${name}
Version: ${version}
Architecture: ${cpu}
Maintainer: ${maintainer}
Installed-Size: ${installedKb}
Depends: libc6 (>= 2.28), libstdc++6 (>= 8), libgcc-s1
Section: net
Priority: optional
Homepage: ${homepage}
Description: ${summary}
${wrapped(description)}
`,
    ),
  ]);
  const output = join(into, `${name}_${version}_${cpu}.deb`);
  // Level 1: higher ones take minutes, and save a tenth of the size.
  run('dpkg-deb', ['--root-owner-group', '-Zxz', '-z1', '--build', root, output], {
    SOURCE_DATE_EPOCH: String(epoch()),
  });
  return output;
}

/** Lines of a description in debian/control begin with a space. */
function wrapped(description: string): string {
  const lines: string[] = [];
  for (const word of description.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < 76) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(` ${word}`);
  }
  return lines.join('\n');
}

export function buildRpm(executable: string, into = PACKAGES): string {
  const { name, version, summary, description, license, homepage } = product();
  const cpu = RPM_CPU[process.arch] ?? process.arch;
  const folder = join(into, 'rpm');
  rmSync(folder, { recursive: true, force: true });
  const files = filesOf(executable, 'rpm');
  writeTree(join(folder, 'tree'), files);
  const spec = join(folder, 'viaduct.spec');
  writeFileSync(
    spec,
    `Name: ${name}
Version: ${version}
Release: 1
Summary: ${summary.replace(/^./, (first) => first.toUpperCase())}
License: ${license}
URL: ${homepage}
# Of Node's libraries in the executable nothing else may make use; stripping it would cut off what it carries.
AutoReqProv: no
Requires: glibc >= 2.28, libstdc++ >= 8
%define __os_install_post %{nil}
%define debug_package %{nil}
%define _build_id_links none
%define _binary_payload w1.xzdio
%define use_source_date_epoch_as_buildtime 1
%define clamp_mtime_to_source_date_epoch 1

%description
${description}

%install
cp -a ${join(folder, 'tree')}/. %{buildroot}

%files
${files.map(({ path, mode }) => `%attr(${mode.toString(8)}, root, root) /${path}`).join('\n')}
`,
  );
  const tops = ['-D', `_topdir ${folder}`, '-D', `_rpmdir ${folder}/out`];
  run('rpmbuild', ['-bb', '--quiet', '--target', cpu, ...tops, spec], { SOURCE_DATE_EPOCH: String(epoch()) });
  const output = join(into, `${name}-${version}-1.${cpu}.rpm`);
  copyFileSync(join(folder, 'out', cpu, `${name}-${version}-1.${cpu}.rpm`), output);
  return output;
}

function run(program: string, words: readonly string[], environment: Readonly<Record<string, string>>): void {
  const done = spawnSync(program, words, { encoding: 'utf8', env: { ...process.env, ...environment } });
  if (done.status !== 0) throw new Error(`${program} failed: ${done.error?.message ?? ''}${done.stdout}${done.stderr}`);
}

if (import.meta.main) {
  if (isStale() && build() !== 0) process.exit(1);
  const kinds = process.argv.length > 2 ? process.argv.slice(2) : ['deb', 'rpm'];
  const executable =
    existsSync(join(PACKAGES, 'viaduct')) && !isStale() ? join(PACKAGES, 'viaduct') : buildExecutable();
  for (const kind of kinds) process.stdout.write(`${kind === 'deb' ? buildDeb(executable) : buildRpm(executable)}\n`);
}

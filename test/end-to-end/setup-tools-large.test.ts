/**
 * `viaduct setup` with tools that are too large for every run of the tests (Go, Gradle, dnf, KDE): with `npm run test:long`,
 * where they are installed.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isLong } from '../support/bulk.ts';
import { builtCommand } from '../support/cli.ts';
import { Home } from '../support/home.ts';
import { Office } from '../support/office.ts';
import { absent } from '../support/requires.ts';
import { run } from '../support/run.ts';

function tests(): void {
  let office: Office;
  before(async () => {
    office = await Office.open();
  });
  after(() => office[Symbol.asyncDispose]());
  const setup = (home: Home, ...words: string[]) => home.viaduct('setup', '--port', String(office.port), ...words);

  test('Go works behind an NTLM proxy by the variables of the shell', { skip: absent('golang-go', 'go') }, async () => {
    using home = new Home();
    home.write('.profile', '');
    home.write('go.mod', 'module one\n');
    assert.equal((await setup(home, 'shell')).code, 0);
    const environment = { GOPROXY: 'http://modules.office', GOSUMDB: 'off', GOFLAGS: '-modcacherw' };
    const { err } = await home.run('sh', ['-c', '. ~/.profile; exec go get modules.example/two@v1.0.0'], environment);
    // Our website is no server of modules: that is what Go finds there.
    assert.match(err, /modules\.example\/two/);
    assert.ok(office.proxy.served.includes('GET http://modules.office/modules.example/two/@v/v1.0.0.info'), err);
  });

  test('KDE reads the PAC, and its file is as before afterwards', {
    skip: absent('libkf5config-bin', 'kreadconfig5'),
  }, async () => {
    using home = new Home({ XDG_CURRENT_DESKTOP: 'KDE' });
    home.write(
      '.config/kioslaverc',
      '[$Version]\nupdate_info=a\n\n[Proxy Settings]\nProxyType=0\nhttpProxy=http://old 1\n',
    );
    const untouched = home.snapshot();
    assert.equal((await setup(home, 'kde')).code, 0);
    const read = async (key: string) =>
      (await home.run('kreadconfig5', ['--file', 'kioslaverc', '--group', 'Proxy Settings', '--key', key])).out.trim();
    const url = `http://127.0.0.1:${office.port}/proxy.pac`;
    assert.deepEqual(
      [await read('ProxyType'), await read('Proxy Config Script'), await read('httpProxy')],
      ['2', url, 'http://old 1'],
    );
    assert.equal((await setup(home, '--undo')).code, 0);
    assert.deepEqual(home.snapshot(), untouched);
  });

  test('Gradle is set up, works behind an NTLM proxy, and is as before afterwards', {
    skip: absent('gradle', 'gradle'),
    timeout: 180_000,
  }, async () => {
    using home = new Home();
    home.write('.gradle/gradle.properties', '# mine\norg.gradle.daemon = false\n');
    const own = home.read('.gradle/gradle.properties');
    assert.equal((await setup(home, 'gradle')).code, 0);
    home.write(
      'build.gradle',
      "apply plugin: 'java'\nrepositories { maven { url 'http://maven.office/' } }\ndependencies { compile 'a:b:1' }\n",
    );
    const { out, err } = await home.run('gradle', ['-q', 'dependencies'], { GRADLE_OPTS: `-Duser.home=${home.path}` });
    assert.ok(office.proxy.served.includes('GET http://maven.office/a/b/1/b-1.pom'), out + err);
    assert.equal((await setup(home, '--undo')).code, 0);
    assert.equal(home.read('.gradle/gradle.properties'), own);
  });

  test('dnf is set up with --yes, works behind an NTLM proxy, and is as before afterwards', {
    skip: absent('dnf', 'dnf') || absent('util-linux', 'unshare'),
  }, async () => {
    using home = new Home();
    const command = `${process.execPath} ${builtCommand()} setup --scope system --port ${office.port} --yes`;
    const script = `mkdir own && cp -a /etc/dnf own/ && mount --bind own/dnf /etc/dnf && mount -t tmpfs none /var/lib && mount -t tmpfs none /var/cache
      printf '[main]\\n# mine\\ngpgcheck=1\\n' > /etc/dnf/dnf.conf; cp /etc/dnf/dnf.conf before
      ${command} dnf; cat /etc/dnf/dnf.conf
      dnf --releasever=1 --setopt=retries=1 --repofrompath=office,http://repo.office/ --repo=office makecache || true
      ${command} --undo dnf; cmp before /etc/dnf/dnf.conf && echo same`;
    const { code, out, err } = await run('unshare', [process.getuid?.() === 0 ? '-m' : '-rm', 'sh', '-ec', script], {
      environment: home.environment,
      cwd: home.path,
    });
    assert.equal(code, 0, err);
    assert.match(out, new RegExp(`^# mine\\ngpgcheck=1\\nproxy ?= ?http://127\\.0\\.0\\.1:${office.port}$`, 'm'));
    assert.ok(office.proxy.served.includes('GET http://repo.office/repodata/repomd.xml'), out + err);
    assert.match(out, /^same$/m);
  });
}

if (isLong) tests();

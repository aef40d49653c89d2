/** What `viaduct setup` promises about the files and settings of a user. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { builtCommand, viaduct } from '../support/cli.ts';
import { Home } from '../support/home.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

const setup = (home: Home, ...words: string[]) => home.viaduct('setup', '--port', '4128', ...words);

/** Without what lets root look into every folder: the capabilities of capabilities(7). */
const AS_USER = ['--bounding-set=-dac_override,-dac_read_search', '--inh-caps=-dac_override,-dac_read_search'];

function setupAsUser(
  home: Home,
  ...words: string[]
): Promise<{ readonly code: number | null; out: string; err: string }> {
  if (process.getuid?.() !== 0) return setup(home, ...words);
  const command = [process.execPath, builtCommand(), 'setup', '--port', '4128', ...words];
  return home.run('setpriv', [...AS_USER, ...command]);
}

describe('undo', { skip: missing('git', 'curl') }, () => {
  test('puts back only what is still ours, and says what is not', async () => {
    using home = new Home();
    home.write('.gitconfig', '[http]\n\tproxy = http://old:1\n[user]\n\tname = Me\n');
    home.write('.curlrc', 'silent\n');
    await setup(home, 'git', 'curl');
    home.write('.gitconfig', `${home.read('.gitconfig')}[alias]\n\tco = checkout\n`);
    home.write('.curlrc', home.read('.curlrc').replace('http://127.0.0.1:4128', 'http://mine:2'));
    const { code, out } = await setup(home, '--undo');
    assert.equal(code, 0);
    assert.deepEqual(out.trimEnd().split('\n').sort(), [
      'curl: ~/.curlrc: noproxy is as before',
      'curl: ~/.curlrc: proxy is not what setup wrote any more, and stays',
      'git: ~/.gitconfig is as before',
    ]);
    assert.equal(
      home.read('.gitconfig'),
      '[http]\n\tproxy = http://old:1\n[user]\n\tname = Me\n[alias]\n\tco = checkout\n',
    );
    assert.equal(home.read('.curlrc'), 'silent\nproxy = "http://mine:2"\n');
    assert.equal((await setup(home, '--undo')).out, 'setup has written nothing\n');
  });

  test('gives back the value before the first setup, also after a second one for another proxy', async () => {
    using home = new Home();
    home.write('.gitconfig', '[http]\n\tproxy = http://me:pw@old:1\n');
    const before = home.snapshot();
    const { out } = await setup(home, 'git');
    assert.match(out, /^ {2}- http proxy = http:\/\/•••@old:1$/m);
    const other = await home.viaduct('setup', '--port', '5128', 'git');
    assert.match(other.out, /^ {2}- http proxy = http:\/\/127\.0\.0\.1:4128$/m);
    assert.equal(home.read('.gitconfig'), '[http]\n\tproxy = http://127.0.0.1:5128\n');
    await setup(home, '--undo');
    assert.deepEqual(home.snapshot(), before);
  });

  test('removes files and folders that setup has made, and no others', async () => {
    using home = new Home();
    home.write('.config/other/x', '');
    const before = home.snapshot();
    assert.equal((await setup(home)).code, 0);
    assert.notDeepEqual(home.snapshot(), before);
    await setup(home, '--undo');
    assert.deepEqual(home.snapshot(), before);
  });
});

describe('a file that cannot be edited is left as it is, with one line, and the other tools are set up', {
  skip: missing('git', 'curl'),
}, () => {
  test('a link that leads out of the home', async () => {
    using home = new Home();
    using elsewhere = temporaryFolder();
    symlinkSync(elsewhere.write('shared', '[user]\n'), home.at('.gitconfig'));
    const { code, err } = await setup(home, 'git', 'curl');
    const target = join(elsewhere.path, 'shared');
    assert.equal(code, 1);
    assert.equal(
      err.split('\n')[0],
      `viaduct: git: ${home.at('.gitconfig')} is left as it is: it is a link out of your home, to ${target}`,
    );
    assert.equal(readFileSync(target, 'utf8'), '[user]\n');
    assert.match(home.read('.curlrc'), /proxy/);
  });

  test('a link in the home is followed, and stays a link', async () => {
    using home = new Home();
    home.write('dotfiles/gitconfig', '[user]\n', 0o600);
    symlinkSync('dotfiles/gitconfig', home.at('.gitconfig'));
    const before = home.snapshot();
    await setup(home, 'git');
    assert.equal(home.read('dotfiles/gitconfig'), '[user]\n[http]\n\tproxy = http://127.0.0.1:4128\n');
    assert.equal(home.snapshot()['.gitconfig'], 'link dotfiles/gitconfig');
    await setup(home, '--undo');
    assert.deepEqual(home.snapshot(), before);
  });

  test('settings that are no JSON', async () => {
    using home = new Home();
    home.write('.config/Code/User/settings.json', '{\n  "a": \n}');
    const before = home.snapshot();
    const { code, err } = await setup(home, 'vscode');
    assert.equal(code, 1);
    assert.equal(
      err,
      `viaduct: vscode: ${home.at('.config/Code/User/settings.json')} is left as it is: it is not valid JSON (line 3: ValueExpected)\n`,
    );
    assert.deepEqual(home.snapshot(), before);
  });

  test('a folder, and a file of binary data, where a file of text should be', async () => {
    using home = new Home();
    mkdirSync(home.at('.gitconfig'));
    home.write('.curlrc', Buffer.from([0xff, 0xfe, 0x00]));
    const { code, err } = await setup(home, 'git', 'curl');
    assert.equal(code, 1);
    assert.match(err, /^viaduct: git: \S+ is left as it is: it is a folder$/m);
    assert.match(err, /^viaduct: curl: \S+ is left as it is: it is not a text$/m);
  });

  test('a file that is read-only, and one whose folder is a file', async () => {
    using home = new Home();
    home.write('.gitconfig', '[user]\n', 0o444);
    home.write('.config/pip', 'not a folder');
    const before = home.snapshot();
    const shown = await setup(home, '--dry-run', 'git', 'pip', 'curl');
    const { code, err } = await setup(home, 'git', 'pip', 'curl');
    assert.deepEqual([shown.code, code], [1, 1]);
    assert.match(shown.err, /^viaduct: git: \S+\.gitconfig is left as it is: it is read-only$/m);
    assert.match(err, /^viaduct: git: \S+\.gitconfig is left as it is: it is read-only$/m);
    assert.match(err, /^viaduct: pip: \S+pip\.conf is left as it is: it cannot be written$/m);
    assert.match(home.read('.curlrc'), /^proxy = /);
    await setup(home, '--undo');
    assert.deepEqual(home.snapshot(), before);
  });

  test('a folder that this user may not look into', async () => {
    using home = new Home();
    mkdirSync(home.at('.config/pip'), { recursive: true });
    chmodSync(home.at('.config/pip'), 0);
    const { code, err } = await setupAsUser(home, 'pip', 'git');
    const list = await setupAsUser(home, '--list');
    chmodSync(home.at('.config/pip'), 0o700);
    assert.equal(code, 1);
    assert.match(err, /^viaduct: pip: \S+pip\.conf is left as it is: this user may not look into its folder$/m);
    assert.match(home.read('.gitconfig'), /proxy = /);
    assert.deepEqual([list.code, /^pip +cannot be set up/m.test(list.out)], [0, true]);
  });

  test('a journal that cannot be read stops setup before it writes anything', async () => {
    using home = new Home();
    home.write('.state/viaduct/setup.json', '{"version": 7}');
    const before = home.snapshot();
    const { code, err } = await setup(home, 'git');
    assert.equal(code, 2);
    assert.match(
      err,
      /^viaduct: \S+setup\.json cannot be read: it is not what setup writes; move it away to begin anew\n$/,
    );
    assert.deepEqual(home.snapshot(), before);
  });
});

test('one setup waits for no other: it says that another is at work, and takes over from one that was killed', async () => {
  using home = new Home();
  home.write('.state/viaduct/setup.lock', String(process.pid), 0o600);
  const { code, err } = await setup(home, 'shell');
  assert.deepEqual(
    [code, err],
    [2, `viaduct: another viaduct setup is at work (process ${process.pid}); wait for its end\n`],
  );
  assert.equal((await setup(home, '--list')).code, 0);
  home.write('.state/viaduct/setup.lock', '4194305', 0o600);
  assert.equal((await setup(home, 'shell')).code, 0);
  assert.equal(home.read('.state/viaduct/setup.lock'), '');
});

test('line ends, marks, encodings and modes stay', { skip: missing('git') }, async () => {
  using home = new Home();
  home.write(
    '.config/Code/User/settings.json',
    Buffer.from('\ufeff{\r\n  // mine\r\n  "a": 1\r\n}\r\n', 'utf8'),
    0o604,
  );
  chmodSync(home.at('.config/Code/User/settings.json'), 0o604);
  const before = home.snapshot();
  await setup(home, 'vscode');
  const text = readFileSync(home.at('.config/Code/User/settings.json'), 'utf8');
  assert.equal(
    text,
    '\ufeff{\r\n  // mine\r\n  "a": 1,\r\n  "http.proxy": "http://127.0.0.1:4128",\r\n  "http.noProxy": ["localhost","127.0.0.1","::1"]\r\n}\r\n',
  );
  assert.equal(statSync(home.at('.config/Code/User/settings.json')).mode & 0o777, 0o604);
  assert.equal((await setup(home, 'vscode')).out, 'vscode: set up already\n');
  await setup(home, '--undo');
  assert.deepEqual(home.snapshot(), before);
});

test('a password is never written, and the journal is for its user alone', { skip: missing('git') }, async () => {
  using home = new Home();
  const before = home.snapshot();
  const refused = await home.viaduct('setup', '--through', 'http://me:secret@proxy.corp:8080', 'git');
  assert.equal(refused.code, 2);
  assert.match(refused.err, /^viaduct: a password is never written into a tool;/);
  assert.deepEqual(home.snapshot(), before);
  await setup(home, 'git');
  assert.equal(statSync(home.at('.state/viaduct/setup.json')).mode & 0o777, 0o600);
});

test('says how the proxy starts at log-in, as long as it is no service', { skip: missing('git') }, async () => {
  using home = new Home();
  const hint =
    /^what is set up fails while viaduct is stopped; viaduct service install lets it start when you log in$/m;
  assert.match((await setup(home, 'git')).out, hint);
  await setup(home, '--undo');
  home.write('.config/systemd/user/viaduct.service', '[Unit]\n');
  assert.doesNotMatch((await setup(home, 'git')).out, hint);
});

test('the list says that tools fail while nothing answers, and wrong names get a hint', {
  skip: missing('git'),
}, async () => {
  using home = new Home();
  await home.viaduct('setup', '--port', '1', 'git');
  const { out, err } = await home.viaduct('setup', '--port', '1', '--list');
  assert.match(out, /^git +set up, fails now +~\/\.gitconfig$/m);
  assert.equal(err, 'viaduct: tools that are set up fail now; start the proxy, or run viaduct setup --undo\n');
  const wrong = await setup(home, 'gti');
  assert.deepEqual(
    [wrong.code, wrong.err],
    [2, 'viaduct: gti is no tool that setup knows; did you mean git?; viaduct setup --list shows all\n'],
  );
});

describe('the desktop', {
  skip: missing('libglib2.0-bin', 'dbus-daemon') || (process.platform !== 'linux' && 'GNOME runs on Linux'),
}, () => {
  /** Runs a script of the shell with a session of its own; `$viaduct` is the command. */
  const inSession = (home: Home, script: string) =>
    run('dbus-run-session', ['--', 'sh', '-ec', script], {
      environment: {
        ...home.environment,
        XDG_CURRENT_DESKTOP: 'GNOME',
        viaduct: `${process.execPath} ${builtCommand()}`,
      },
    });
  const SHOW = 'gsettings list-recursively org.gnome.system.proxy | sort';

  test('gets the PAC of the proxy; its own PAC becomes the source of the proxy, and comes back', async () => {
    using home = new Home();
    const { code, out, err } = await inSession(
      home,
      `gsettings set org.gnome.system.proxy mode auto
       gsettings set org.gnome.system.proxy autoconfig-url 'data:,function FindProxyForURL(u,h){return "PROXY wpad.example:8080"}'
       ${SHOW} > before
       $viaduct setup --port 4128 gnome
       gsettings get org.gnome.system.proxy autoconfig-url
       $viaduct check --port 4128 | grep '# setup'
       $viaduct why http://page.example/ --port 4128 | grep -i 'wpad.example'
       $viaduct setup --undo
       ${SHOW} | diff before - && echo same
       $viaduct check | grep -c '# setup' || true`.replaceAll(' before', ` ${home.at('before')}`),
    );
    assert.equal(code, 0, out + err);
    assert.match(out, /^'http:\/\/127\.0\.0\.1:4128\/proxy\.pac'$/m);
    assert.match(out, /^routes\.pac \(system\) +data:.* # setup$/m);
    assert.match(out, /wpad\.example:8080/);
    assert.match(out, /^same\n0$/m);
  });

  test('its fixed proxy becomes the source of the proxy, without a login; nothing of the desktop reaches another port', async () => {
    using home = new Home();
    const { code, out, err } = await inSession(
      home,
      `gsettings set org.gnome.system.proxy mode manual
       gsettings set org.gnome.system.proxy.http host proxy.example
       gsettings set org.gnome.system.proxy.http port 8080
       gsettings set org.gnome.system.proxy.http use-authentication true
       gsettings set org.gnome.system.proxy.http authentication-user me
       gsettings set org.gnome.system.proxy.http authentication-password secret
       $viaduct setup --port 4128 gnome
       cat ${home.at('.state/viaduct/setup-system.json')}
       $viaduct why http://page.example/ --port 5128 | grep 'proxy.example'
       $viaduct setup --undo > /dev/null
       gsettings get org.gnome.system.proxy mode`,
    );
    assert.equal(code, 0, out + err);
    assert.match(out, /"http": "http:\/\/proxy\.example:8080"/);
    assert.doesNotMatch(out, /secret/);
    assert.match(out, /^'manual'$/m);
  });
});

test('a desktop that does not keep a setting is not said to be set up', {
  skip: missing('libglib2.0-bin'),
}, async () => {
  using home = new Home({ XDG_CURRENT_DESKTOP: 'GNOME', GSETTINGS_BACKEND: 'memory' });
  const { code, out, err } = await setup(home, 'gnome');
  assert.equal(code, 1);
  assert.equal(
    err.split('\n')[0],
    'viaduct: gnome: gsettings has not kept org.gnome.system.proxy autoconfig-url; is this a session of the desktop?',
  );
  assert.doesNotMatch(out, /set up/);
  assert.equal((await setup(home, '--undo')).out, 'setup has written nothing\n');
});

test('--list shows the tools that are named, and --pac refuses one that cannot use it', {
  skip: missing('git'),
}, async () => {
  using home = new Home();
  const { code, out } = await home.viaduct('setup', '--list', 'git', 'npm', '--port', '1');
  assert.equal(code, 0);
  assert.deepEqual(
    out
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/ {2}.*/, '')),
    ['tool', 'git', 'npm', 'proxy: http://127.0.0.1:1, where nothing answers now'],
  );
  const refused = await home.viaduct('setup', '--pac', 'git');
  assert.deepEqual(
    [refused.code, refused.err],
    [2, 'viaduct: --pac: git cannot use a PAC; viaduct setup git gives it the address of the proxy\n'],
  );
});

test('the system is changed with --yes alone, and apt then works through the proxy', {
  skip: missing('util-linux') || (process.platform !== 'linux' && 'apt is Debian’s'),
}, async () => {
  using home = new Home();
  using proxy = viaduct(['--port', '0', '--log', 'off', '--no-admin', '--pac', 'none'], home.environment);
  const port = await proxy.port();
  const command = `${process.execPath} ${builtCommand()} setup --scope system --port ${port}`;
  const apt = `apt-get update -o Dir::State=${home.at('state')} -o Dir::Cache=${home.at('cache')} -o Dir::Etc::sourcelist=${home.at('sources.list')} -o Dir::Etc::sourceparts=-`;
  mkdirSync(home.at('state/lists/partial'), { recursive: true });
  mkdirSync(home.at('cache/archives/partial'), { recursive: true });
  home.write('sources.list', 'deb [trusted=yes] http://no-such.invalid/debian stable main\n');
  const script = `mount -t tmpfs none /etc/apt/apt.conf.d && mount -t tmpfs none /var/lib
    echo 'Acquire::Retries "0";' > /etc/apt/apt.conf.d/10own
    ${command} apt; ls /etc/apt/apt.conf.d
    ${command} --yes apt; cat /etc/apt/apt.conf.d/95viaduct
    ${apt} || true
    ${command} --undo --yes; ls /etc/apt/apt.conf.d`;
  const { code, out, err } = await run('unshare', [process.getuid?.() === 0 ? '-m' : '-rm', 'sh', '-ec', script], {
    environment: home.environment,
  });
  assert.equal(code, 0, err);
  const [shown = '', made = ''] = out.split('set up: apt');
  assert.match(
    shown,
    /nothing is changed yet; to do it: .* setup apt --scope system --through http:\/\/127\.0\.0\.1:\d+ --yes\n10own\napt:/,
  );
  assert.match(made, new RegExp(`^Acquire::http::Proxy "http://127\\.0\\.0\\.1:${port}/";$`, 'm'));
  assert.match(out + err, /502 {2}dns_failed: no-such\.invalid|dns_failed|502/);
  assert.match(made, /apt: \/etc\/apt\/apt\.conf\.d\/95viaduct is as before\n10own\n$/);
});

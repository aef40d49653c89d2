/** `viaduct setup` with each tool: it is pointed at the proxy, works behind an NTLM proxy, and is as before afterwards. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type ParseError, parse } from 'jsonc-parser';
import { Home, packagesFolder } from '../support/home.ts';
import { Office } from '../support/office.ts';
import { missing } from '../support/requires.ts';
import type { RunResult } from '../support/run.ts';

let office: Office;
before(async () => {
  office = await Office.open();
});
after(() => office[Symbol.asyncDispose]());

const setup = (home: Home, ...words: string[]) => home.viaduct('setup', '--port', String(office.port), ...words);
const modules = packagesFolder();

interface ToolTest {
  readonly tool: string;
  /** Of the test, where a tool has several. Default: `tool`. */
  readonly name?: string;
  readonly skip?: string | false;
  /** Files as a user may have them. */
  readonly files: Readonly<Record<string, string | Buffer>>;
  /** What those files say afterwards; text of the proxy's port is `PORT`. */
  readonly written: Readonly<Record<string, string>>;
  work(home: Home): Promise<RunResult>;
  /** What the work prints. */
  readonly prints: RegExp;
  /** What the proxy of the office has served. */
  readonly served: RegExp;
}

/** For a shell: a program, its first word, that reads nothing but the variables. */
const FETCH = `"$0" -e "fetch('http://page.office/x').then((r) => r.text()).then(console.log)"`;

const toolTests: readonly ToolTest[] = [
  {
    tool: 'git',
    skip: missing('git'),
    files: {
      '.gitconfig':
        '# mine\r\n[user]\r\n\tname = Me\r\n[http]\r\n\tpostBuffer = 1000000 ; big\r\n[alias]\r\n\tco = checkout',
    },
    written: {
      '.gitconfig':
        '# mine\r\n[user]\r\n\tname = Me\r\n[http]\r\n\tpostBuffer = 1000000 ; big\r\n\tproxy = http://127.0.0.1:PORT\r\n[alias]\r\n\tco = checkout',
    },
    work: (home) => home.run('git', ['clone', 'http://git.office/git/one.git', 'copy']),
    prints: /Cloning into 'copy'/,
    served: /^POST http:\/\/git\.office\/git\/one\.git\/git-upload-pack$/m,
  },
  {
    tool: 'npm',
    files: { '.npmrc': '//registry.office/:_authToken=abc\nproxy=http://old:1' },
    written: {
      '.npmrc':
        '//registry.office/:_authToken=abc\nproxy=http://127.0.0.1:PORT\nhttps-proxy=http://127.0.0.1:PORT\nnoproxy=localhost,127.0.0.1,::1',
    },
    work: (home) =>
      home.run('npm', ['view', '--registry', 'http://registry.office/', 'viaduct-test-package', 'version']),
    prints: /^1\.2\.3$/m,
    served: /^GET http:\/\/registry\.office\/viaduct-test-package$/m,
  },
  {
    tool: 'pnpm',
    files: { '.config/pnpm/config.yaml': '# mine\nstoreDir:   "~/x" # there\n', '.config/pnpm/rc': '' },
    written: {
      '.config/pnpm/config.yaml':
        '# mine\nstoreDir:   "~/x" # there\nhttpProxy: "http://127.0.0.1:PORT"\nhttpsProxy: "http://127.0.0.1:PORT"\n',
      '.config/pnpm/rc': 'proxy=http://127.0.0.1:PORT\nhttps-proxy=http://127.0.0.1:PORT\n',
    },
    work: (home) =>
      home.run('pnpm', ['view', '--registry', 'http://registry.office/', 'viaduct-test-package', 'version']),
    prints: /^1\.2\.3$/m,
    served: /^GET http:\/\/registry\.office\/viaduct-test-package$/m,
  },
  {
    tool: 'yarn',
    files: { '.yarnrc': '# yarn lockfile v1\n\n\n', '.yarnrc.yml': 'enableTelemetry: false # mine\n' },
    written: {
      '.yarnrc': '# yarn lockfile v1\nproxy "http://127.0.0.1:PORT"\nhttps-proxy "http://127.0.0.1:PORT"\n\n\n',
      '.yarnrc.yml':
        'enableTelemetry: false # mine\nhttpProxy: "http://127.0.0.1:PORT"\nhttpsProxy: "http://127.0.0.1:PORT"\n',
    },
    work: (home) =>
      home.run(process.execPath, [
        join(modules, 'yarn', 'bin', 'yarn.js'),
        ...['info', '--registry', 'http://registry.office/', 'viaduct-test-package', 'version'],
      ]),
    prints: /^1\.2\.3$/m,
    served: /^GET http:\/\/registry\.office\/viaduct-test-package$/m,
  },
  {
    tool: 'pip',
    skip: missing('python3-pip'),
    files: { '.config/pip/pip.conf': '[global]\ntimeout = 5\n\n[install]\nuser = no\n' },
    written: {
      '.config/pip/pip.conf': '[global]\ntimeout = 5\nproxy = http://127.0.0.1:PORT\n\n[install]\nuser = no\n',
    },
    work: (home) =>
      home.run('pip3', [
        ...['download', '--no-deps', '--disable-pip-version-check', '--retries', '0', '--trusted-host', 'index.office'],
        ...['--index-url', 'http://index.office/simple', 'viaduct-test-package'],
      ]),
    // Our website is no index of packages: that is what pip finds there.
    prints: /No matching distribution found for viaduct-test-package/,
    served: /^GET http:\/\/index\.office\/simple\/viaduct-test-package\/$/m,
  },
  {
    tool: 'cargo',
    skip: missing('cargo'),
    files: { '.cargo/config.toml': '# mine\n[net]\nretry = 1\n\n[http]\ntimeout = 10 # s\n' },
    written: {
      '.cargo/config.toml': '# mine\n[net]\nretry = 1\n\n[http]\ntimeout = 10 # s\nproxy = "http://127.0.0.1:PORT"\n',
    },
    async work(home) {
      const manifest =
        '[package]\nname = "two"\nversion = "0.1.0"\n[dependencies]\none = { git = "http://git.office/git/one.git" }\n';
      home.write('two/Cargo.toml', manifest);
      home.write('two/src/lib.rs', '');
      return home.run('cargo', ['fetch', '--manifest-path', 'two/Cargo.toml']);
    },
    prints: /Updating git repository `http:\/\/git\.office\/git\/one\.git`/,
    served: /^POST http:\/\/git\.office\/git\/one\.git\/git-upload-pack$/m,
  },
  {
    tool: 'curl',
    skip: missing('curl'),
    files: { '.curlrc': '# mine\n--proxy "http://old:1"\nsilent\n' },
    written: {
      '.curlrc': '# mine\n--proxy "http://127.0.0.1:PORT"\nsilent\nnoproxy = "localhost,127.0.0.1,::1"\n',
    },
    work: (home) => home.run('curl', ['-k', 'https://page.office/x']),
    prints: /^hello from \/x$/m,
    served: /^CONNECT page\.office:443$/m,
  },
  {
    tool: 'wget',
    skip: missing('wget'),
    files: { '.wgetrc': Buffer.from('# gr\xfc\xdfe\nHTTP-Proxy = http://old:1\n', 'latin1') },
    written: {
      '.wgetrc':
        '# gr\xfc\xdfe\nHTTP-Proxy = http://127.0.0.1:PORT\nhttps_proxy = http://127.0.0.1:PORT\nno_proxy = localhost,127.0.0.1,::1\n',
    },
    work: (home) => home.run('wget', ['-q', '-O', '-', 'http://page.office/x']),
    prints: /^hello from \/x$/m,
    served: /^GET http:\/\/page\.office\/x$/m,
  },
  {
    tool: 'shell',
    // With the line ends of Windows, which a shell reads as a part of the comments here.
    files: { '.profile': 'umask 022 #\r\nno_proxy=.mine.office #\r\n', '.bashrc': 'HISTSIZE=1\n' },
    written: {
      '.bashrc':
        "HISTSIZE=1\n# >>> viaduct setup >>>\nif [ -r 'HOME/.config/viaduct/env.sh' ]; then . 'HOME/.config/viaduct/env.sh'; fi # viaduct setup --undo shell removes this\n# <<< viaduct setup <<<\n",
    },
    // A program that reads nothing but the variables.
    work: (home) => {
      const script = `fetch('http://page.office/x').then((r) => r.text()).then(console.log);
        if (process.env.no_proxy + process.env.NO_PROXY !== '.mine.office.mine.office') process.exit(9)`;
      return home.run('sh', ['-c', `. ~/.profile; "$0" -e "$1"`, process.execPath, script]);
    },
    prints: /^hello from \/x$/m,
    served: /^(GET http:\/\/page\.office\/x|CONNECT page\.office:80)$/m,
  },
  {
    tool: 'shell',
    name: 'shell, as zsh',
    skip: missing('zsh'),
    files: { '.zshrc': 'setopt no_beep\n' },
    written: {
      '.zshrc':
        "setopt no_beep\n# >>> viaduct setup >>>\nif [ -r 'HOME/.config/viaduct/env.sh' ]; then . 'HOME/.config/viaduct/env.sh'; fi # viaduct setup --undo shell removes this\n# <<< viaduct setup <<<\n",
    },
    work: (home) => home.run('zsh', ['-i', '-c', FETCH, process.execPath]),
    prints: /^hello from \/x$/m,
    served: /^(GET http:\/\/page\.office\/x|CONNECT page\.office:80)$/m,
  },
  {
    tool: 'fish',
    skip: missing('fish'),
    files: { '.config/fish/conf.d/mine.fish': 'set -g mine 1\n' },
    written: {},
    work: (home) => home.run('fish', ['-c', FETCH.replace('$0', process.execPath)]),
    prints: /^hello from \/x$/m,
    served: /^(GET http:\/\/page\.office\/x|CONNECT page\.office:80)$/m,
  },
  {
    tool: 'maven',
    skip: missing('maven'),
    files: {
      '.m2/settings.xml':
        '<?xml version="1.0" encoding="UTF-8"?>\n<!-- mine -->\n<settings>\n  <offline>false</offline>\n</settings>\n',
    },
    written: {},
    work: (home) => {
      home.write(
        'pom.xml',
        '<project><modelVersion>4.0.0</modelVersion><groupId>a</groupId><artifactId>b</artifactId><version>1</version></project>',
      );
      return home.run('mvn', ['-B', 'dependency:resolve'], { MAVEN_OPTS: `-Duser.home=${home.path}` });
    },
    // The website of the office does not have the certificate of Maven's repository: it goes no further than this.
    prints: /Downloading from central: https:\/\/repo\.maven\.apache\.org\//,
    served: /^CONNECT repo\.maven\.apache\.org:443$/m,
  },
];

describe('a tool is set up, works behind an NTLM proxy, and is as before afterwards', () => {
  for (const one of toolTests)
    test(one.name ?? one.tool, { skip: one.skip ?? false }, async () => {
      using home = new Home();
      for (const [name, content] of Object.entries(one.files)) home.write(name, content, 0o640);
      const untouched = home.snapshot();
      const shown = await setup(home, '--dry-run', one.tool);
      assert.equal(shown.code, 0, shown.err);
      assert.deepEqual(home.snapshot(), untouched);

      const made = await setup(home, one.tool);
      assert.equal(made.code, 0, made.err);
      for (const [name, text] of Object.entries(one.written)) {
        assert.equal(home.read(name), text.replaceAll('PORT', String(office.port)).replaceAll('HOME', home.path), name);
      }
      const changed = home.snapshot();
      const again = await setup(home, one.tool);
      assert.equal(again.out, `${one.tool}: set up already\n`);
      assert.deepEqual(home.snapshot(), changed);
      const { out } = await setup(home, '--list');
      assert.match(out, new RegExp(`^${one.tool} +set up  `, 'm'));
      const undone = await setup(home, '--undo');
      assert.equal(undone.code, 0, undone.err);
      assert.deepEqual(home.snapshot(), untouched);

      await setup(home, one.tool);
      const seen = office.proxy.served.length;
      const worked = await one.work(home);
      assert.match(worked.out + worked.err, one.prints);
      assert.match(office.proxy.served.slice(seen).join('\n'), one.served);
      assert.equal((await setup(home, '--undo', one.tool)).code, 0);
      const left = home.snapshot();
      for (const name of Object.keys(one.files)) assert.equal(left[name], untouched[name], name);
    });
});

test('Yarn 2 and later works behind an NTLM proxy too', async () => {
  using home = new Home();
  home.write('package.json', '{"name":"project"}');
  home.write('yarn.lock', '');
  assert.equal((await setup(home, 'yarn')).code, 0);
  const words = ['npm', 'info', '--json', '--fields', 'version', 'viaduct-test-package'];
  const { out, err } = await home.run(
    process.execPath,
    [join(modules, '@yarnpkg', 'cli-dist', 'bin', 'yarn.js'), ...words],
    {
      YARN_NPM_REGISTRY_SERVER: 'http://registry.office',
      YARN_UNSAFE_HTTP_WHITELIST: 'registry.office',
      YARN_ENABLE_TELEMETRY: '0',
    },
  );
  assert.match(out, /"version":"1\.2\.3"/, err);
});

test('Java works behind an NTLM proxy by the variables of exec', {
  skip: missing('default-jdk-headless'),
}, async () => {
  using home = new Home();
  home.write(
    'Page.java',
    `class Page {
      public static void main(String[] urls) throws Exception {
        System.out.write(new java.net.URL(urls[0]).openStream().readAllBytes());
        System.out.flush();
      }
    }`,
  );
  const words = ['exec', '--port', String(office.port), '--', 'java', home.at('Page.java'), 'http://page.office/java'];
  const { code, out, err } = await home.viaduct(...words);
  assert.deepEqual([code, out], [0, 'hello from /java\n'], err);
  assert.ok(office.proxy.served.includes('GET http://page.office/java'));
});

const GENERATOR = '/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator';

test('systemd reads the variables of a session as they are written', { skip: missing('systemd') }, async () => {
  using home = new Home();
  const untouched = home.snapshot();
  assert.equal((await setup(home, 'session')).code, 0);
  const { out } = await home.run(GENERATOR, []);
  const url = `http://127.0.0.1:${office.port}`;
  const lines = out.split('\n');
  for (const line of [`http_proxy=${url}`, `HTTPS_PROXY=${url}`, 'no_proxy=localhost,127.0.0.1,::1'])
    assert.ok(lines.includes(line), `${line} in ${out}`);
  const options = lines.find((line) => line.startsWith('JAVA_TOOL_OPTIONS=')) ?? '';
  assert.match(options, new RegExp(`-Dhttp\\.proxyPort=${office.port}`));
  assert.equal((await setup(home, '--undo')).code, 0);
  assert.deepEqual(home.snapshot(), untouched);
});

test('settings of VS Code keep their comments, and its parser reads them', async () => {
  using home = new Home();
  const own = '{\n  // mine\n  "editor.tabSize": 2, /* two */\n  "http.noProxy": ["a.corp"],\n}\n';
  home.write('.config/Code/User/settings.json', own);
  assert.equal((await setup(home, 'vscode')).code, 0);
  const text = home.read('.config/Code/User/settings.json');
  const problems: ParseError[] = [];
  assert.deepEqual(parse(text, problems, { allowTrailingComma: true }), {
    'editor.tabSize': 2,
    'http.noProxy': ['a.corp'],
    'http.proxy': `http://127.0.0.1:${office.port}`,
  });
  assert.deepEqual(problems, []);
  assert.match(text, /\/\/ mine\n.*\/\* two \*\//);
  assert.equal((await setup(home, '--undo')).code, 0);
  assert.equal(home.read('.config/Code/User/settings.json'), own);
});

test('ssh is set up only when it is named, asks the proxy for a public host, and is as before afterwards', {
  skip: missing('openssh-client'),
}, async () => {
  using home = new Home();
  home.write('.ssh/config', 'Host *\n  ServerAliveInterval 30', 0o600);
  const untouched = home.snapshot();
  const everything = await setup(home, '--dry-run');
  assert.doesNotMatch(everything.out, /^ssh/m);
  assert.equal((await setup(home, 'ssh')).code, 0);
  const words = ['-v', '-F', home.at('.ssh/config'), '-o', 'ConnectTimeout=10', 'git@github.com', 'true'];
  const { err } = await home.run('ssh', words);
  assert.match(err, /Executing proxy command: exec .* connect github\.com 22 --through http:\/\/127\.0\.0\.1:\d+/);
  assert.ok(office.proxy.served.includes('CONNECT github.com:22'), office.proxy.served.join('\n'));
  // It is a web server that answers there.
  assert.match(err, /kex_exchange_identification|banner exchange|Connection closed/);
  await setup(home, '--undo', 'ssh');
  assert.deepEqual(home.snapshot(), untouched);
});

test('--ca adds a root certificate to those of each tool, and refuses a file without one', {
  skip: missing('git', 'curl', 'wget'),
}, async () => {
  using home = new Home();
  home.write('corp.pem', office.web.certificate.cert);
  home.write('none.pem', 'no certificate\n');
  const before = home.snapshot();
  const refused = await setup(home, '--ca', home.at('none.pem'), 'curl');
  assert.deepEqual(
    [refused.code, refused.err],
    [2, `viaduct: --ca: ${home.at('none.pem')} holds no certificate (PEM)\n`],
  );
  assert.deepEqual(home.snapshot(), before);

  const made = await setup(home, '--ca', home.at('corp.pem'), 'curl', 'git', 'wget', 'npm');
  assert.equal(made.code, 0, made.err);
  assert.equal((await home.run('curl', ['-sS', 'https://origin.test/x'])).out, 'hello from /x\n');
  assert.equal((await home.run('wget', ['-q', '-O', '-', 'https://origin.test/x'])).out, 'hello from /x\n');
  const cloned = await home.run('git', ['clone', 'https://origin.test/git/one.git', 'copy']);
  assert.equal(cloned.code, 0, cloned.err);
  const words = ['view', '--registry', 'https://origin.test/', 'viaduct-test-package', 'version'];
  assert.match((await home.run('npm', words)).out, /^1\.2\.3$/m);
  assert.equal((await setup(home, '--undo')).code, 0);
  const left = home.snapshot();
  for (const name of ['.curlrc', '.gitconfig', '.wgetrc', '.npmrc']) assert.equal(left[name], undefined, name);
});

/** `viaduct env`, `viaduct exec` and `viaduct connect`, with the programs that use them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { builtCommand, type Running, viaduct, viaductEnds } from '../support/cli.ts';
import { OfficeProxy } from '../support/office-proxy.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary.ts';
import { Web } from '../support/web.ts';

/** A user of this machine: a home, and where the proxies of that user stand. */
function fresh(folder: TemporaryFolder): Record<string, string> {
  return {
    HOME: folder.path,
    XDG_STATE_HOME: join(folder.path, 'state'),
    XDG_CONFIG_HOME: join(folder.path, 'config'),
    XDG_RUNTIME_DIR: join(folder.path, 'run'),
  };
}
const QUIET = ['--log', 'off', '--no-admin', '--pac', 'none'];
const start = (home: Record<string, string>, ...words: string[]): Running =>
  viaduct(['--port', '0', ...QUIET, ...words], home);

describe('which proxy a command means', () => {
  test('the only one that runs; where two run, none without --port', async () => {
    using folder = temporaryFolder();
    const home = fresh(folder);
    using first = start(home);
    const port = await first.port();
    const { code, out } = await viaductEnds(['env', '--shell', 'sh'], home);
    assert.equal(code, 0);
    assert.equal(out.split('\n')[0], `export http_proxy='http://127.0.0.1:${port}'`);
    using second = start(home);
    const other = await second.port();
    const unclear = await viaductEnds(['env'], home);
    assert.equal(unclear.code, 2);
    assert.match(unclear.err, /^viaduct: several proxies are running: .*; name one with --port\n$/);
    const named = await viaductEnds(['env', '--port', String(other), '--shell', 'fish'], home);
    assert.equal(named.out.split('\n')[0], `set -gx http_proxy 'http://127.0.0.1:${other}'`);
  });

  test('where none runs, the listener of the configuration, else localhost:3128', async () => {
    using folder = temporaryFolder();
    const home = fresh(folder);
    const url = async (...words: string[]) =>
      /http_proxy='(.*)'/.exec((await viaductEnds(['env', '--shell', 'sh', ...words], home)).out)?.[1];
    assert.equal(await url(), 'http://127.0.0.1:3128');
    const config = folder.write(
      'viaduct.yaml',
      'listen: ["10.0.0.1:80", "127.0.0.2:4000"]\nclients: { allow: 10.0.0.0/8 }\n',
    );
    assert.equal(await url('--config', config), 'http://127.0.0.2:4000');
    assert.equal(await url('--through', 'proxy.corp:8080'), 'http://proxy.corp:8080');
    assert.equal(await url('--through', 'any://proxy.corp:8080'), 'http://proxy.corp:8080');
  });
});

test('env prints every variable for each shell, and keeps the exceptions of the user', async () => {
  using folder = temporaryFolder();
  const env = (shell: string) =>
    viaductEnds(['env', '--shell', shell, '--port', '3128'], { ...fresh(folder), NO_PROXY: ".it's, 10.0.0.0/8" });
  const { out } = await env('bash');
  assert.deepEqual(out.trimEnd().split('\n'), [
    "export http_proxy='http://127.0.0.1:3128'",
    "export HTTP_PROXY='http://127.0.0.1:3128'",
    "export https_proxy='http://127.0.0.1:3128'",
    "export HTTPS_PROXY='http://127.0.0.1:3128'",
    "export no_proxy='localhost,127.0.0.1,::1,.it'\\''s,10.0.0.0/8'",
    "export NO_PROXY='localhost,127.0.0.1,::1,.it'\\''s,10.0.0.0/8'",
    "export NODE_USE_ENV_PROXY='1'",
    "export YARN_HTTP_PROXY='http://127.0.0.1:3128'",
    "export YARN_HTTPS_PROXY='http://127.0.0.1:3128'",
  ]);
  assert.match((await env('pwsh')).out, /^\$Env:http_proxy = 'http:\/\/127\.0\.0\.1:3128'$/m);
  assert.match((await env('cmd')).out, /^set "http_proxy=http:\/\/127\.0\.0\.1:3128"$/m);
  const wrong = await env('csh');
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /--shell: csh is unknown.*write sh, fish, pwsh, cmd\n$/);
});

describe('exec', () => {
  test('git clones and curl fetches behind an NTLM proxy', { skip: missing('git', 'curl') }, async () => {
    using folder = temporaryFolder();
    const home = fresh(folder);
    const repositories = join(folder.path, 'repositories');
    mkdirSync(repositories);
    execFileSync('git', ['init', '-q', '--bare', join(repositories, 'one.git')]);
    await using web = await Web.open({ repositories });
    await using office = await OfficeProxy.start(web);
    const account = { user: 'me', domain: 'CORP', from: 'env:PW' };
    const config = folder.write('viaduct.yaml', { routes: { proxy: office.url }, credentials: { default: account } });
    using proxy = start({ ...home, PW: 'secret' }, '--config', config);
    await proxy.port();
    const exec = (...words: string[]) => viaductEnds(['exec', '--', ...words], { ...home, GIT_CONFIG_NOSYSTEM: '1' });
    const cloned = await exec('git', 'clone', 'http://git.office/git/one.git', join(folder.path, 'copy'));
    assert.equal(cloned.code, 0, cloned.err);
    assert.match(cloned.err, /You appear to have cloned an empty repository/);
    const fetched = await exec('curl', '-sS', 'http://page.office/x');
    assert.deepEqual([fetched.code, fetched.out], [0, 'hello from /x\n']);
    assert.deepEqual(office.served, [
      'GET http://git.office/git/one.git/info/refs?service=git-upload-pack',
      'POST http://git.office/git/one.git/git-upload-pack',
      'GET http://page.office/x',
    ]);
    assert.deepEqual([...new Set(office.users)], ['CORP\\me']);
  });

  test('gives the exit code of the command, passes its words on as they are, and says when there is none', async () => {
    using folder = temporaryFolder();
    const home = fresh(folder);
    const exec = (...words: string[]) => viaductEnds(['exec', '--port', '1234', '--', ...words], home);
    const printed = await exec(
      'sh',
      '-c',
      'echo "$http_proxy|$JAVA_TOOL_OPTIONS|$1|$2"; exit 7',
      'sh',
      '-port',
      '--threads=3',
    );
    assert.equal(printed.code, 7);
    assert.equal(
      printed.out,
      'http://127.0.0.1:1234|-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=1234 -Dhttps.proxyHost=127.0.0.1 ' +
        '-Dhttps.proxyPort=1234 -Dhttp.nonProxyHosts=localhost|127.*|[::1]|-port|--threads=3\n',
    );
    assert.equal((await exec('sh', '-c', 'kill -TERM $$')).code, 143);
    const none = await exec('no-such-command');
    const away =
      'viaduct: nothing answers at http://127.0.0.1:1234; start it with viaduct run, or name another with --through\n';
    const missing = 'viaduct: cannot start no-such-command: there is no such command\n';
    assert.deepEqual([none.code, none.err], [127, away + missing]);
    const folderItself = await exec(folder.path);
    assert.deepEqual(
      [folderItself.code, folderItself.err],
      [126, `${away}viaduct: cannot start ${folder.path}: it is no program, or you may not run it\n`],
    );
    // Without `--` too, the first word that is no flag begins the command.
    const bare = await viaductEnds(['exec', '-p', '1234', 'sh', '-c', 'echo "$http_proxy $0"; exit 3', '-port'], home);
    assert.deepEqual([bare.code, bare.out], [3, 'http://127.0.0.1:1234 -port\n']);
    const empty = await viaductEnds(['exec'], home);
    assert.deepEqual([empty.code, /exec needs COMMAND/.test(empty.err)], [2, true]);
  });
});

test('exec passes on the signals that it gets', {
  skip: process.platform === 'win32' && 'Windows has none',
}, async () => {
  using folder = temporaryFolder();
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGUSR1', 'SIGUSR2'] as const) {
    const script = `process.on('${signal}', () => process.exit(9)); setInterval(() => {}, 1000); console.error('ready');`;
    using command = viaduct(['exec', '--port', '1', '--', process.execPath, '-e', script], fresh(folder));
    await command.says('ready');
    command.child.kill(signal);
    assert.equal((await command.ended).code, 9, signal);
  }
});

describe('connect', () => {
  test('carries a conversation that the server begins, and the end of the input', async () => {
    using folder = temporaryFolder();
    const home = fresh(folder);
    using proxy = start(home);
    const port = await proxy.port();
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.write('hello first\n');
      let got = '';
      socket.on('data', (chunk) => {
        got += chunk;
      });
      socket.on('end', () => socket.end(`got ${got}`));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const to = typeof address === 'object' && address !== null ? address.port : 0;
    const words = [builtCommand(), 'connect', '127.0.0.1', String(to), '--port', String(port)];
    const { code, out } = await run(process.execPath, words, { environment: home, input: 'some words' });
    server.close();
    assert.deepEqual([code, out], [0, 'hello first\ngot some words']);
  });

  test('says in one line why there is no tunnel', async () => {
    using folder = temporaryFolder();
    const home = fresh(folder);
    using proxy = start(home);
    const port = await proxy.port();
    const { code, err } = await viaductEnds(['connect', 'no-such.invalid', '22', '--port', String(port)], home);
    assert.equal(code, 1);
    assert.match(
      err,
      /^viaduct: no tunnel to no-such\.invalid:22 through http:\/\/127\.0\.0\.1:\d+: .*dns_failed.*\n$/,
    );
    const away = await viaductEnds(['connect', 'host', '22', '--port', '1'], home);
    assert.deepEqual(
      [away.code, away.err],
      [
        1,
        'viaduct: no tunnel to host:22 through http://127.0.0.1:1: nothing answers there; ' +
          'start it with viaduct run, or name another with --through\n',
      ],
    );
    const wrong = await viaductEnds(['connect', 'host', 'ssh', '--port', '1'], home);
    assert.deepEqual([wrong.code, wrong.err], [2, 'viaduct: "ssh" is not a valid port; write 1 to 65535\n']);
  });

  test('ssh reaches a server through it', { skip: missing('openssh-client') }, async () => {
    using folder = temporaryFolder();
    const home = fresh(folder);
    using proxy = start(home);
    const port = await proxy.port();
    const server = createServer((socket) => socket.end('SSH-2.0-test\r\n')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const to = typeof address === 'object' && address !== null ? address.port : 0;
    const command = `${process.execPath} ${builtCommand()} connect %h %p --port ${port}`;
    const words = ['-v', '-F', 'none', '-o', `ProxyCommand=${command}`, '-p', String(to), 'me@127.0.0.1', 'true'];
    const { err } = await run('ssh', words, { environment: home });
    server.close();
    assert.match(err, /Remote protocol version 2\.0, remote software version test/);
  });
});

/** `viaduct doctor`: what it says about a chain that works, and about one that does not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Home } from '../support/home.ts';
import { Office } from '../support/office.ts';
import { OfficeProxy } from '../support/office-proxy.ts';
import { missing } from '../support/requires.ts';
import { Web } from '../support/web.ts';

interface Said {
  readonly check: string;
  readonly level: string;
  readonly text: string;
  readonly mend?: string;
}

/** What `doctor --json` says, and its exit code. */
async function doctor(home: Home, ...words: string[]): Promise<{ code: number | null; ok: boolean; checks: Said[] }> {
  const { code, out, err } = await home.viaduct('doctor', '--json', ...words);
  assert.equal(err, '');
  return { code, ...(JSON.parse(out) as { ok: boolean; checks: Said[] }) };
}
const about = (checks: readonly Said[], name: string): string[] =>
  checks.filter(({ check }) => check === name).map(({ level, text }) => `${level}: ${text}`);

describe('behind an NTLM proxy, through the viaduct that runs', () => {
  test('a chain that works', { skip: missing('curl', 'git') }, async () => {
    await using office = await Office.open();
    using home = new Home({ XDG_STATE_HOME: office.stateHome, XDG_RUNTIME_DIR: office.stateHome });
    await home.viaduct('setup', 'curl');
    const { code, ok, checks } = await doctor(home, 'http://page.office/');
    assert.deepEqual([code, ok], [0, true]);
    assert.match(about(checks, 'proxy').join(), /^ok: viaduct \S+ runs \(process \d+\) on http:\/\/127\.0\.0\.1:\d+/);
    assert.deepEqual(about(checks, 'PAC'), ['ok: there is no PAC, and none is missing']);
    assert.match(about(checks, 'request').join(), /^ok: http:\/\/page\.office\/ responded with 200 in \d+ ms$/);
    assert.deepEqual(about(checks, 'upstream proxies'), [`ok: ${new URL(office.proxy.url).host} answers`]);
    assert.deepEqual(about(checks, 'DNS'), [
      'ok: this machine does not resolve page.office; the upstream proxy does, which is enough',
    ]);
    assert.match(about(checks, 'clock').join(), /^ok: the clock agrees with the server's \(\d s apart\)$/);
    const [tool] = about(checks, 'tools').filter((text) => text.includes('curl'));
    assert.equal(tool, 'ok: curl is set up, and works (curl -sS --head --max-time 15 http://page.office/)');
    for (const method of ['GET', 'HEAD']) assert.ok(office.proxy.served.includes(`${method} http://page.office/`));
  });

  test('a certificate that no root vouches for', async () => {
    await using office = await Office.open();
    using home = new Home({ XDG_STATE_HOME: office.stateHome, XDG_RUNTIME_DIR: office.stateHome });
    const { code, checks } = await doctor(home, 'https://page.office/');
    assert.equal(code, 1);
    const [tls] = checks.filter(({ check }) => check === 'TLS');
    assert.match(
      tls?.text ?? '',
      /^no root certificate of this machine vouches for page\.office: the last in its chain was issued by “/,
    );
    assert.doesNotMatch(JSON.stringify(checks), /insecure|rejectUnauthorized|sslVerify/i);
  });
});

describe('where no viaduct runs', () => {
  test('a password that was rejected is not sent once more', async () => {
    await using web = await Web.open();
    await using office = await OfficeProxy.start(web);
    office.accepts = false;
    using home = new Home({ PW: 'wrong' });
    const credentials = { default: { user: 'me', domain: 'CORP', from: 'env:PW' } };
    home.write(
      '.config/viaduct/viaduct.yaml',
      JSON.stringify({ listen: 'localhost:1', routes: { proxy: office.url }, credentials }),
    );
    const first = await doctor(home, 'http://page.office/');
    assert.equal(first.code, 1);
    assert.match(
      about(first.checks, 'proxy').join(),
      /^failed: no viaduct of this user runs, and nothing answers at http:\/\/127\.0\.0\.1:1;/,
    );
    const [request] = first.checks.filter(({ check }) => check === 'request');
    assert.match(request?.text ?? '', /did not accept our credentials/);
    assert.match(request?.mend ?? '', /^viaduct login/);
    assert.deepEqual(office.users, ['CORP\\me']);
    const second = await doctor(home, 'http://page.office/');
    assert.equal(second.code, 1);
    assert.deepEqual(about(second.checks, 'upstream proxies'), [
      `failed: ${new URL(office.url).host} has rejected the password, which is not sent any more`,
    ]);
    assert.deepEqual(office.users, ['CORP\\me']);
  });

  test('a configuration that is wrong is said beside everything else', async () => {
    using home = new Home();
    home.write('.config/viaduct/viaduct.yaml', 'ports: 1\n');
    const { code, checks } = await doctor(home, 'http://no-such.invalid/');
    assert.equal(code, 1);
    assert.match(about(checks, 'proxy').join(), /^failed: the configuration is wrong: .*viaduct\.yaml:1: /);
    assert.match(about(checks, 'DNS').join(), /^warning: this machine does not resolve no-such\.invalid$/);
  });

  test('what is left of another proxy is found in variables and in tools', { skip: missing('git') }, async () => {
    using home = new Home({ http_proxy: 'http://me:secret@127.0.0.1:3', XDG_CONFIG_HOME: '' });
    home.write('.gitconfig', '[http]\n\tproxy = http://localhost:2\n');
    home.write('.cntlm.conf', 'Username me\n');
    const { checks } = await doctor(home, '--port', '1', 'http://127.0.0.1:9/');
    assert.ok(
      about(checks, 'tools').includes(
        'warning: git (~/.gitconfig) uses localhost:2, where nothing answers: a proxy that is gone?',
      ),
      JSON.stringify(checks),
    );
    assert.deepEqual(about(checks, 'leftovers'), [
      'warning: http_proxy of this shell is http://•••@127.0.0.1:3, where nothing answers',
      `note: ${home.at('.cntlm.conf')} configures another proxy`,
    ]);
    assert.doesNotMatch(JSON.stringify(checks), /secret/);
  });
});

test('for people it prints one line for each thing, and the command that mends it below', async () => {
  using home = new Home();
  const { code, out } = await home.viaduct('doctor', '--port', '1', 'http://no-such.invalid/');
  assert.equal(code, 1);
  assert.match(
    out,
    /^✖ proxy +no viaduct of this user runs, and nothing answers at http:\/\/127\.0\.0\.1:1; .*\n +→ viaduct run\n/,
  );
  assert.match(out, /\n\d of these must be mended\n$/);
});

/** From a running Viaduct to a `git clone` behind Squid that requires NTLM, with two commands. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { viaduct } from '../support/cli.ts';
import { Home } from '../support/home.ts';
import { missing } from '../support/requires.ts';
import { Web } from '../support/web.ts';
import { ACCOUNTS } from './accounts.ts';
import { noLab } from './private.ts';
import { startNtlmUpstream } from './upstream-proxies.ts';
import { startWinbind } from './winbind.ts';

test('setup git, then git clone works through Viaduct and Squid with NTLM', {
  skip: noLab() || missing('git'),
}, async () => {
  await using winbind = await startWinbind();
  await using squid = await startNtlmUpstream(winbind);
  const { user, password } = ACCOUNTS.alice;
  using home = new Home({ PW: password });
  execFileSync('git', ['init', '-q', '--bare', home.at('repositories/one.git')]);
  await using web = await Web.open({ repositories: home.at('repositories') });
  const url = `http://127.0.0.1:${web.port}/git/one.git`;
  const account = { user, domain: winbind.domain, from: 'env:PW' };
  const settings = { listen: 'localhost:0', log: { format: 'off' }, routes: { proxy: squid.url } };
  home.write('viaduct.yaml', JSON.stringify({ ...settings, credentials: { default: account } }));
  using running = viaduct(['--config', home.at('viaduct.yaml')], home.environment);
  await running.port();
  // Without it git goes directly, and the access log of Squid stays empty.
  const made = await home.viaduct('setup', 'git');
  assert.equal(made.code, 0, made.err);
  const cloned = await home.run('git', ['clone', url, 'copy']);
  assert.equal(cloned.code, 0, cloned.err);
  const seen = web.seen.filter(({ url: path }) => path.startsWith('/git/one.git/'));
  assert.ok(seen.length > 0);
  for (const { headers } of seen) assert.match(String(headers.via), /viaduct-[0-9a-f]+, .*squid/i);
});

/** `viaduct login` asks the upstream proxy once before it stores a password. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { builtCommand } from '../support/cli.ts';
import { KEYRING_PACKAGES, TestKeyring } from '../support/keyring.ts';
import { OfficeProxy } from '../support/office-proxy.ts';
import { missing } from '../support/requires.ts';
import { type RunResult, run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { Web } from '../support/web.ts';

const noKeyring = missing(...KEYRING_PACKAGES);

test('a password that the upstream proxy rejects is not stored, one that it accepts is, and each is sent once', {
  skip: noKeyring,
}, async () => {
  using folder = temporaryFolder();
  await using lab = await TestKeyring.start(folder.path);
  await using web = await Web.open();
  await using office = await OfficeProxy.start(web);
  const environment = {
    ...lab.bus.environment,
    HOME: folder.path,
    XDG_STATE_HOME: `${folder.path}/state`,
    XDG_CONFIG_HOME: '/nonexistent',
  };
  const login = (password: string, ...words: string[]): Promise<RunResult> => {
    const command = [builtCommand(), 'login', 'CORP\\me', '--proxy', office.url, ...words];
    return run(process.execPath, command, { environment, input: `${password}\n` });
  };
  office.accepts = false;
  const wrong = await login('wrong');
  assert.deepEqual([wrong.code, wrong.out], [1, '']);
  assert.match(wrong.err, /^viaduct: http:\/\/127\.0\.0\.1:\d+ does not accept it; nothing is stored/);
  assert.equal(lab.look('viaduct', 'CORP\\me'), '');
  assert.deepEqual(office.users, ['CORP\\me']);

  const untried = await login('untried', '--no-test');
  assert.deepEqual([untried.code, untried.err], [0, '']);
  assert.deepEqual(office.users, ['CORP\\me']);

  office.accepts = true;
  const right = await login('right');
  assert.equal(right.out, 'stored the password of CORP\\me in the keyring\n');
  assert.match(right.err, /^viaduct: http:\/\/127\.0\.0\.1:\d+ accepts it\n$/);
  assert.equal(lab.look('viaduct', 'CORP\\me'), 'right');
  assert.deepEqual(office.users, ['CORP\\me', 'CORP\\me']);

  const away = await run(process.execPath, [builtCommand(), 'login', 'CORP\\me', '--proxy', 'http://127.0.0.1:1'], {
    environment,
    input: 'right\n',
  });
  assert.equal(away.code, 0);
  assert.match(away.err, /^viaduct: http:\/\/127\.0\.0\.1:1 cannot be reached, so it is stored without a try\n$/);
});

/** `clients.sameUser`: other users of this machine do not use the proxy. */
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { test } from 'node:test';
import { viaduct } from '../support/cli.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

test('a process of another user is refused, and one of the same user is served', {
  skip:
    missing('util-linux', 'curl') ||
    (process.platform !== 'linux' && 'other systems do not tell whose a connection is') ||
    (process.getuid?.() !== 0 && 'only root may run a program as another user'),
}, async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('served')));
  using folder = temporaryFolder();
  chmodSync(folder.path, 0o755);
  const config = folder.write('viaduct.yaml', { listen: 'localhost:0', clients: { sameUser: true }, admin: false });
  using proxy = viaduct(['--config', config, '--log', 'off', '--pac', 'none']);
  const port = await proxy.port();
  for (const host of ['127.0.0.1', '[::1]']) {
    const words = ['-sS', '--noproxy', '', '-x', `http://${host}:${port}`, `http://${origin.authority}/`];
    assert.equal((await run('curl', words)).out, 'served');
    const other = ['--reuid', '65534', '--clear-groups', 'curl', ...words];
    const refused = await run('setpriv', other, { environment: { HOME: '/' } });
    assert.match(
      refused.out,
      /^A rule of this proxy does not allow this request\. The rule is called "clients\.sameUser"\./,
    );
  }
});

/** `clients.sameUser`: other users of this machine do not use the proxy. */
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { test } from 'node:test';
import { viaduct } from '../support/cli.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** Listeners, and the addresses by which a program of this machine reaches them. */
const LISTENERS: readonly { readonly settings: object; readonly hosts: readonly string[] }[] = [
  { settings: { listen: 'localhost:0' }, hosts: ['127.0.0.1', '[::1]'] },
  // On all addresses, with the sockets of the addon and with those of Node.
  ...['auto', 'portable'].map((relay) => {
    const clients = { sameUser: true, allow: '127.0.0.0/8' };
    const rules = { guard: { deny: [] }, access: [{ default: 'allow' }] };
    return { settings: { listen: '0.0.0.0:0', relay, clients, ...rules }, hosts: ['127.0.0.1', '127.0.0.2'] };
  }),
];

for (const { settings, hosts } of LISTENERS) {
  test(`a process of another user is refused, and one of the same user is served: ${JSON.stringify(settings)}`, {
    skip:
      missing('util-linux', 'curl') ||
      (process.platform !== 'linux' && 'setpriv is of Linux') ||
      (process.getuid?.() !== 0 && 'only root may run a program as another user'),
  }, async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('served')));
    using folder = temporaryFolder();
    chmodSync(folder.path, 0o755);
    const config = folder.write('viaduct.yaml', { clients: { sameUser: true }, admin: false, ...settings });
    using proxy = viaduct(['--config', config, '--log', 'off', '--pac', 'none']);
    const port = await proxy.port();
    for (const host of hosts) {
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
}

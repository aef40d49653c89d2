/** `clients.sameUser`: other users of this machine do not use the proxy. */
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { test } from 'node:test';
import { viaduct } from '../support/cli.ts';
import { isInside, MACHINE_IP, noNamespace, runInside } from '../support/namespace.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** How a program of this machine reaches a listener: at which address, and with which socket. */
interface Approach {
  readonly host: string;
  /** Words for curl. */
  readonly socket?: readonly string[];
}

const LISTENERS: readonly { readonly settings: object; readonly approaches: readonly Approach[] }[] = [
  {
    settings: { listen: 'localhost:0' },
    approaches: [
      { host: '127.0.0.1' },
      { host: '[::1]' },
      { host: '127.0.0.1', socket: ['--interface', 'lo'] },
      { host: '127.0.0.1', socket: ['--interface', MACHINE_IP] },
    ],
  },
  // On all addresses, with the sockets of the addon and with those of Node.
  ...['auto', 'portable'].map((relay) => {
    const clients = { sameUser: true, allow: ['127.0.0.0/8', MACHINE_IP] };
    const rules = { guard: { deny: [] }, access: [{ default: 'allow' }] };
    const approaches = [
      { host: '127.0.0.1' },
      { host: '127.0.0.2' },
      { host: '127.0.0.1', socket: ['--interface', MACHINE_IP] },
    ];
    return { settings: { listen: '0.0.0.0:0', relay, clients, ...rules }, approaches };
  }),
];

function tests(): void {
  for (const { settings, approaches } of LISTENERS) {
    test(`a process of another user is refused, and one of the same user is served: ${JSON.stringify(settings)}`, async () => {
      await using origin = await RawOrigin.listen(answering(() => ok('served')));
      using folder = temporaryFolder();
      chmodSync(folder.path, 0o755);
      const config = folder.write('viaduct.yaml', { clients: { sameUser: true }, admin: false, ...settings });
      using proxy = viaduct(['--config', config, '--log', 'off', '--pac', 'none']);
      const port = await proxy.port();
      for (const { host, socket = [] } of approaches) {
        const words = [
          '-sS',
          '--noproxy',
          '',
          ...socket,
          '-x',
          `http://${host}:${port}`,
          `http://${origin.authority}/`,
        ];
        const shown = [host, ...socket].join(' ');
        assert.equal((await run('curl', words)).out, 'served', shown);
        const other = ['--reuid', '65534', '--clear-groups', 'curl', ...words];
        const refused = await run('setpriv', other, { environment: { HOME: '/' } });
        assert.match(
          refused.out,
          /^A rule of this proxy does not allow this request\. The rule is called "clients\.sameUser"\./,
          shown,
        );
      }
    });
  }
}

if (isInside()) tests();
else {
  test(
    'clients of two users, in a network of their own',
    {
      skip:
        noNamespace() ||
        missing('util-linux', 'curl') ||
        (process.getuid?.() !== 0 && 'only root may run a program as another user'),
      timeout: 60_000,
    },
    () => runInside(import.meta.url),
  );
}

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { builtCommand, viaductEnds } from '../support/cli.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

const onLinux = process.platform === 'linux' ? false : 'systemd is on Linux';

test('a dry run prints the unit and the commands, and systemd finds no fault with the unit', {
  skip: onLinux || missing('systemd'),
}, async () => {
  using folder = temporaryFolder();
  const words = ['service', 'install', '--dry-run', '--port', '8080', '--pac', 'none'];
  const { code, out, err } = await viaductEnds(words, { XDG_CONFIG_HOME: folder.path, HOME: folder.path });
  assert.deepEqual([code, err], [0, '']);
  const units = [...out.matchAll(/^# (\/.*\/(viaduct\.\w+))\n([\s\S]*?)(?=^(?:# \/|\$ ))/gm)].map(
    ([, path, name = '', unit = '']) => {
      return { path, name, unit };
    },
  );
  const own = join(folder.path, 'systemd/user');
  assert.deepEqual(
    units.map(({ path }) => path),
    [join(own, 'viaduct.socket'), join(own, 'viaduct.service')],
  );
  const [socket, service] = units;
  assert.match(socket?.unit ?? '', /^ListenStream=127\.0\.0\.1:8080$/m);
  const command = `${process.execPath} ${builtCommand()} run --port=8080 --pac=none`;
  assert.match(service?.unit ?? '', new RegExp(`^ExecStart=${command}$`, 'm'));
  assert.match(
    out,
    /^\$ systemctl --user disable --now .*\n\$ systemctl --user daemon-reload\n\$ systemctl --user enable viaduct\.service\n\$ systemctl --user restart viaduct\.service\n/m,
  );
  const files = units.map(({ name, unit }) => folder.write(name, unit));
  const verified = await run('systemd-analyze', ['verify', '--user', '--man=no', ...files], {
    environment: { XDG_RUNTIME_DIR: folder.path },
  });
  assert.deepEqual([verified.code, `${verified.out}${verified.err}`], [0, '']);
});

test('a service of the system is refused, with the reason', async () => {
  const { code, err } = await viaductEnds(['service', 'install', '--system']);
  assert.equal(code, 2);
  assert.match(
    err,
    /^viaduct: a service of the system runs as another user: it cannot log in to upstream proxies as you/,
  );
  assert.match(
    (await viaductEnds(['service', 'instal'])).err,
    /^viaduct: service has no action instal; did you mean install\?/,
  );
});

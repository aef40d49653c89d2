import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launchd } from './launchd.ts';
import { SERVICE_ACTIONS } from './service-actions.ts';
import type { ServiceSystem, ServiceTarget } from './service-system.ts';
import { systemd } from './systemd.ts';
import { taskScheduler } from './task-scheduler.ts';

const target: ServiceTarget = {
  program: ['/opt/node', '/home/me/my tools/cli.js', 'run', '--rate=50%', '--noproxy=$x'],
  home: '/home/me',
  environment: {},
  uid: 501,
  user: 'me',
  addresses: ['127.0.0.1:3128', '[::1]:3128'],
  logFile: '/home/me/Library/Logs/viaduct.log',
};
const onWindows: ServiceTarget = {
  ...target,
  program: ['C:\\Program Files\\nodejs\\node.exe', 'C:\\Users\\me\\cli.js', 'run', '--config=C:\\my dir\\'],
  user: 'CORP\\me',
  logFile: 'C:\\Users\\me\\AppData\\Local\\viaduct\\viaduct.log',
};

const linesOf = (system: ServiceSystem, where: ServiceTarget) =>
  SERVICE_ACTIONS.map((action) => {
    const { files, removed, commands } = system.plan(action, where);
    return [action, files.map(({ path }) => path), commands.map(({ words }) => words.join(' ')), removed];
  });

test('systemd gets a socket and a unit of the user, whose words survive its own quoting', () => {
  const [unit, socket] = ['service', 'socket'].map((kind) => `/home/me/.config/systemd/user/viaduct.${kind}`);
  const both = 'viaduct.service viaduct.socket';
  assert.deepEqual(linesOf(systemd, target), [
    [
      'install',
      [socket, unit],
      [
        `systemctl --user disable --now ${both}`,
        'systemctl --user daemon-reload',
        'systemctl --user enable viaduct.service',
        'systemctl --user restart viaduct.service',
      ],
      [],
    ],
    ['uninstall', [], [`systemctl --user disable --now ${both}`, 'systemctl --user daemon-reload'], [unit, socket]],
    ['status', [], ['systemctl --user status --no-pager viaduct.service'], []],
    ['restart', [], ['systemctl --user restart viaduct.service'], []],
    ['logs', [], ['journalctl --user --unit viaduct.service --lines 200 --no-pager'], []],
  ]);
  // Without an address on loopback the proxy opens its listeners itself, and a socket of before goes.
  const alone = systemd.plan('install', { ...target, addresses: [] });
  assert.deepEqual([alone.files.map(({ path }) => path), alone.removed], [[unit], [socket]]);
  assert.doesNotMatch(alone.files[0]?.text ?? '', /viaduct\.socket/);
  const [, file] = systemd.plan('install', target).files;
  assert.match(
    file?.text ?? '',
    /^ExecStart=\/opt\/node "\/home\/me\/my tools\/cli\.js" run --rate=50%% --noproxy=\$\$x$/m,
  );
});

test('launchd gets an agent of the user that is started again when it fails', () => {
  const plist = '/home/me/Library/LaunchAgents/dev.viaduct.plist';
  assert.deepEqual(linesOf(launchd, target), [
    ['install', [plist], ['launchctl bootout gui/501/dev.viaduct', `launchctl bootstrap gui/501 ${plist}`], []],
    ['uninstall', [], ['launchctl bootout gui/501/dev.viaduct'], [plist]],
    ['status', [], ['launchctl print gui/501/dev.viaduct'], []],
    ['restart', [], ['launchctl kickstart -k gui/501/dev.viaduct'], []],
    ['logs', [], ['tail -n 200 /home/me/Library/Logs/viaduct.log'], []],
  ]);
  const [file] = launchd.plan('install', { ...target, program: ['/a&b', '<c>'] }).files;
  assert.match(file?.text ?? '', /<string>\/a&amp;b<\/string>\n {4}<string>&lt;c&gt;<\/string>/);
});

test('the Task Scheduler gets a task at log-on, without a window or a limit of time', () => {
  const xml = 'C:\\Users\\me\\AppData\\Local\\viaduct\\service.xml';
  assert.deepEqual(linesOf(taskScheduler, onWindows), [
    ['install', [xml], [`schtasks.exe /Create /TN Viaduct /XML ${xml} /F`, 'schtasks.exe /Run /TN Viaduct'], []],
    ['uninstall', [], ['schtasks.exe /End /TN Viaduct', 'schtasks.exe /Delete /TN Viaduct /F'], [xml]],
    ['status', [], ['schtasks.exe /Query /TN Viaduct /V /FO LIST'], []],
    ['restart', [], ['schtasks.exe /End /TN Viaduct', 'schtasks.exe /Run /TN Viaduct'], []],
    ['logs', [], [`powershell.exe -NoProfile -Command Get-Content -Tail 200 -LiteralPath '${onWindows.logFile}'`], []],
  ]);
  const [file] = taskScheduler.plan('install', onWindows).files;
  const [, words] = /<Arguments>(.*)<\/Arguments>/.exec(file?.text ?? '') ?? [];
  assert.equal(
    words?.replaceAll('&quot;', '"').replaceAll('&gt;', '>').replaceAll('&amp;', '&'),
    `--headless cmd.exe /d /s /c ""C:\\Program Files\\nodejs\\node.exe" C:\\Users\\me\\cli.js run "--config=C:\\my dir\\\\" >>"${onWindows.logFile}" 2>&1"`,
  );
});

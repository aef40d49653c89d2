import { join } from 'node:path';
import { LOG_LINES, optional, required, type ServiceSystem, type ServiceTarget } from './service-system.ts';

const UNIT = 'viaduct.service';

/** The unit that packages carry as well, with /usr/bin/viaduct for the program. */
export function systemdUnit(program: readonly string[]): string {
  return `[Unit]
Description=Viaduct, a forward proxy
Documentation=man:viaduct(1)
After=network-online.target

[Service]
Type=exec
ExecStart=${program.map(unitWord).join(' ')}
# SIGHUP reads the configuration again, and tries rejected passwords again.
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=2
# A wrong configuration does not mend itself.
RestartPreventExitStatus=2
# Longer than the drain, 30 s unless \`timeouts.drain\` says otherwise.
TimeoutStopSec=90
LimitNOFILE=524288
UMask=0077
NoNewPrivileges=yes

[Install]
WantedBy=default.target
`;
}

/** systemd takes % and $ as its own, and words apart at spaces (systemd.service(5), "Command lines"). */
function unitWord(word: string): string {
  const text = word.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w@%+=:,./$-]+$/.test(text) ? text : `"${text.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"`;
}

const unitPath = ({ home, environment }: ServiceTarget): string =>
  join(environment.XDG_CONFIG_HOME || join(home, '.config'), 'systemd', 'user', UNIT);

const user = (...words: string[]) => required('systemctl', '--user', ...words);

export const systemd: ServiceSystem = {
  name: 'systemd --user',
  plan(action, target) {
    const nothing = { files: [], removed: [], commands: [], notes: [] };
    switch (action) {
      case 'install':
        return {
          ...nothing,
          files: [{ path: unitPath(target), text: systemdUnit(target.program), encoding: 'utf8' }],
          commands: [user('daemon-reload'), user('enable', UNIT), user('restart', UNIT)],
          notes: [
            `it runs while you are logged in; \`loginctl enable-linger ${target.user}\` keeps it running after a log-out`,
            'viaduct setup points the programs of this machine at it',
          ],
        };
      case 'uninstall':
        return {
          ...nothing,
          removed: [unitPath(target)],
          commands: [optional('systemctl', '--user', 'disable', '--now', UNIT), user('daemon-reload')],
          notes: ['viaduct setup --undo takes the proxy out of the settings of your programs'],
        };
      case 'status':
        return { ...nothing, commands: [user('status', '--no-pager', UNIT)] };
      case 'restart':
        return {
          ...nothing,
          commands: [user('restart', UNIT)],
          notes: ['it has served what was open, and runs again'],
        };
      case 'logs':
        return {
          ...nothing,
          commands: [required('journalctl', '--user', '--unit', UNIT, '--lines', String(LOG_LINES), '--no-pager')],
        };
    }
  },
};

import { join } from 'node:path';
import {
  LOG_LINES,
  optional,
  required,
  type ServicePlan,
  type ServiceSystem,
  type ServiceTarget,
} from './service-system.ts';

const UNIT = 'viaduct.service';
const SOCKET = 'viaduct.socket';

/**
 * The addresses that systemd keeps open: clients wait while the proxy starts or is restarted, and are not refused. The proxy
 * takes them where its configuration listens there. All of them must be there, or nothing starts.
 */
export const systemdSocket = (addresses: readonly string[]): string => `[Unit]
Description=Addresses of Viaduct, a forward proxy
Documentation=man:viaduct(1)

[Socket]
${addresses.map((address) => `ListenStream=${address}`).join('\n')}
Backlog=4096
NoDelay=yes

[Install]
WantedBy=sockets.target
`;

/** The unit that packages carry as well, with /usr/bin/viaduct for the program, and sockets apart. */
export function systemdUnit(program: readonly string[], sockets: 'with sockets' | 'alone'): string {
  const socket = sockets === 'with sockets' ? `\nRequires=${SOCKET}` : '';
  return `[Unit]
Description=Viaduct, a forward proxy
Documentation=man:viaduct(1)
After=network-online.target${socket}

[Service]
Type=notify
# Without the addon \`systemd-notify\` speaks for it.
NotifyAccess=all
# Its event loop has not turned for so long.
WatchdogSec=60
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
WantedBy=default.target${sockets === 'with sockets' ? `\nAlso=${SOCKET}` : ''}
`;
}

/** systemd takes % and $ as its own, and words apart at spaces (systemd.service(5), "Command lines"). */
function unitWord(word: string): string {
  const text = word.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w@%+=:,./$-]+$/.test(text) ? text : `"${text.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"`;
}

const pathOf = ({ home, environment }: ServiceTarget, unit: string): string =>
  join(environment.XDG_CONFIG_HOME || join(home, '.config'), 'systemd', 'user', unit);

const user = (...words: string[]) => required('systemctl', '--user', ...words);

/** A socket cannot be restarted beside a service that holds its address. */
function installed(target: ServiceTarget): Pick<ServicePlan, 'files' | 'removed' | 'commands'> {
  const { addresses, program } = target;
  const [unit, socket] = [pathOf(target, UNIT), pathOf(target, SOCKET)];
  const stop = optional('systemctl', '--user', 'disable', '--now', UNIT, SOCKET);
  if (addresses.length === 0) {
    return {
      files: [{ path: unit, text: systemdUnit(program, 'alone'), encoding: 'utf8' }],
      removed: [socket],
      commands: [stop, user('daemon-reload'), user('enable', UNIT), user('restart', UNIT)],
    };
  }
  return {
    files: [
      { path: socket, text: systemdSocket(addresses), encoding: 'utf8' },
      { path: unit, text: systemdUnit(program, 'with sockets'), encoding: 'utf8' },
    ],
    removed: [],
    commands: [stop, user('daemon-reload'), user('enable', UNIT), user('restart', UNIT)],
  };
}

export const systemd: ServiceSystem = {
  name: 'systemd --user',
  plan(action, target) {
    const nothing = { files: [], removed: [], commands: [], notes: [] };
    switch (action) {
      case 'install':
        return {
          ...nothing,
          ...installed(target),
          notes: [
            `it runs while you are logged in; \`loginctl enable-linger ${target.user}\` keeps it running after a log-out`,
            'viaduct setup points the programs of this machine at it',
          ],
        };
      case 'uninstall':
        return {
          ...nothing,
          removed: [pathOf(target, UNIT), pathOf(target, SOCKET)],
          commands: [optional('systemctl', '--user', 'disable', '--now', UNIT, SOCKET), user('daemon-reload')],
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

import type { Command } from '../command.ts';
import { SERVICE_ACTIONS } from './service-actions.ts';

export const serviceCommand: Command = {
  name: 'service',
  summary: 'run the proxy as a service of this user: install, uninstall, status, restart, logs',
  operands: ['ACTION'],
  takes: 'settings',
  flags: [
    { name: 'dry-run', summary: 'print the files and the commands; change nothing' },
    { name: 'system', summary: 'refused, with the reason' },
  ],
  completes: SERVICE_ACTIONS,
  load: () => import('./service.ts'),
};

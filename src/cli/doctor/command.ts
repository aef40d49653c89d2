import type { Command } from '../command.ts';
import { MEANT_PROXY_FLAGS } from '../meant-proxy.ts';

/** The row of `doctor` in the table of commands. */
export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'check the whole chain, and name the command that mends what is wrong',
  operands: ['[URL]'],
  takes: 'own flags only',
  flags: [{ name: 'json', summary: 'print one JSON object' }, ...MEANT_PROXY_FLAGS],
  load: () => import('./doctor.ts'),
};

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../../scripts/tools.ts';
import type { Peer } from '../peer.ts';

const COMMAND = `${ROOT}dist/cli.js`;

/** Viaduct as `npm run build` makes it, with everything on that is on by default. */
export const viaduct: Peer = {
  name: 'viaduct',
  needs: [],
  settings: 'defaults; one process; access log as json to a file',
  version: () =>
    `${spawnSync(process.execPath, [COMMAND, '--version'], { encoding: 'utf8' }).stdout.replace('viaduct', '').trim()}, Node ${process.versions.node}`,
  prepare: ({ folder, port }) => ({
    command: process.execPath,
    args: [
      COMMAND,
      'run',
      ...['--listen', `127.0.0.1:${port}`],
      ...['--log', 'json', '--log-file', join(folder, 'access.log')],
    ],
    // Whoever measures may have a configuration of their own; it is not what is measured.
    env: { XDG_CONFIG_HOME: folder, XDG_STATE_HOME: folder },
  }),
};

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../scripts/tools.ts';
import type { ConfigInput } from '../../src/config/schema.ts';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import type { RelayKind } from '../../src/relay/options.ts';
import type { InstancePaths, Peer } from '../peer.ts';

const COMMAND = `${ROOT}dist/cli.js`;

const viaductWith = (name: string, relay: RelayKind, workers = 1): Peer => ({
  name,
  needs: [],
  settings: `defaults, ${activeRelay(relay)} relay; ${workers === 1 ? 'one process' : `${workers} workers`}; access log as json to a file`,
  version: () =>
    `${spawnSync(process.execPath, [COMMAND, '--version'], { encoding: 'utf8' }).stdout.replace('viaduct', '').trim()}, Node ${process.versions.node}`,
  prepare: ({ folder, port }) => ({
    command: process.execPath,
    args: [
      COMMAND,
      'run',
      ...['--listen', `127.0.0.1:${port}`, '--relay', relay],
      ...['--workers', String(workers)],
      ...['--log', 'json', '--log-file', join(folder, 'access.log')],
    ],
    // So that the configuration of the user who runs the benchmark is not read.
    env: { XDG_CONFIG_HOME: folder, XDG_STATE_HOME: folder },
  }),
});

/** Viaduct as built by `npm run build`, with its defaults. */
export const viaduct: Peer = viaductWith('viaduct', 'auto');

/** The same with the relay in JavaScript, which is used on other systems and with TLS. */
export const viaductPortable: Peer = viaductWith('viaduct-portable', 'portable');

/** The same with two workers, for a machine with two free cores. */
export const viaductWorkers: Peer = viaductWith('viaduct-workers', 'auto', 2);

/** Viaduct with a configuration. */
export const viaductOf = (config: ConfigInput, environment: Readonly<Record<string, string>> = {}): Peer => ({
  ...viaduct,
  prepare(at) {
    const launch = viaduct.prepare(at);
    const file = join(at.folder, 'viaduct.json');
    writeFileSync(file, JSON.stringify(config));
    return { ...launch, args: [...launch.args, '--config', file], env: { ...launch.env, ...environment } };
  },
});

/** Viaduct with one listener of another kind in the place of the usual one. */
export const viaductListening = (
  listener: (at: InstancePaths) => ConfigInput['listen'],
  config: ConfigInput = {},
): Peer => ({
  ...viaduct,
  prepare(at) {
    const launch = viaductOf({ ...config, listen: listener(at) }).prepare(at);
    return { ...launch, args: launch.args.toSpliced(launch.args.indexOf('--listen'), 2) };
  },
});

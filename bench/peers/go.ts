import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../scripts/tools.ts';
import type { Peer } from '../peer.ts';
import { versionOf } from './version-of.ts';

const PROGRAM = `${ROOT}.cache/bench/goproxy`;

export const go: Peer = {
  name: 'go',
  needs: [{ name: 'golang-go', command: 'go' }],
  settings: 'bench/peers/goproxy.go: net/http and io.Copy, which splices; access log on; GOMAXPROCS as it chooses',
  version: () => versionOf('go', 'version'),
  prepare({ folder, port }) {
    mkdirSync(`${ROOT}.cache/bench`, { recursive: true });
    const built = spawnSync('go', ['build', '-o', PROGRAM, `${ROOT}bench/peers/goproxy.go`], {
      encoding: 'utf8',
      env: { ...process.env, GOCACHE: `${ROOT}.cache/bench/go`, GO111MODULE: 'off' },
    });
    if (built.status !== 0) throw new Error(`go build failed: ${built.error?.message ?? built.stderr}`);
    return { command: PROGRAM, args: [`127.0.0.1:${port}`, join(folder, 'access.log')] };
  },
};

import { spawn, spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { temporaryFolder } from '../support/temporary.ts';

export interface Postgres extends AsyncDisposable {
  readonly port: number;
}

/** The newest one that is installed. Debian keeps them off the path. */
function folderOfPrograms(): string {
  const versions = readdirSync('/usr/lib/postgresql').sort((one, other) => Number(one) - Number(other));
  return `/usr/lib/postgresql/${versions.at(-1)}/bin`;
}

function idOf(user: string, kind: '-u' | '-g'): number {
  return Number(spawnSync('id', [kind, user], { encoding: 'utf8' }).stdout);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** A fresh PostgreSQL on loopback without passwords; it refuses to run as root, so it runs as the user of its package. */
export async function startPostgres(): Promise<Postgres> {
  const folder = temporaryFolder();
  const [uid, gid] = [idOf('postgres', '-u'), idOf('postgres', '-g')];
  const data = join(folder.path, 'data');
  mkdirSync(data);
  for (const path of [folder.path, data]) chownSync(path, uid, gid);
  const programs = folderOfPrograms();
  const made = spawnSync(join(programs, 'initdb'), ['-D', data, '-A', 'trust', '-U', 'postgres', '-N'], {
    uid,
    gid,
    cwd: folder.path,
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`);
  const port = await freePort();
  const words = ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', folder.path, '-F'];
  const server = spawn(join(programs, 'postgres'), words, { uid, gid, cwd: folder.path });
  const ended = new Promise((resolve) => server.once('close', resolve));
  let log = '';
  await new Promise<void>((resolve, reject) => {
    server.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text;
      if (log.includes('ready to accept connections')) resolve();
    });
    void ended.then(() => reject(new Error(`postgres ended: ${log}`)));
  });
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.kill('SIGQUIT');
      await ended;
      folder[Symbol.dispose]();
    },
  };
}

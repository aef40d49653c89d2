import { chmodSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import type { RequestOptions, Server } from 'node:http';
import { join } from 'node:path';
import { readFileBounded } from '../files/read-file.ts';
import { replaceFile } from '../files/replace-file.ts';
import { nodeHttp } from '../util/node-http.ts';

/** What a running proxy writes down about itself, for the other commands of its user. */
export interface Instance {
  readonly pid: number;
  readonly version: string;
  readonly startedAt: string;
  /** URLs; a Unix socket is `unix:/path`. */
  readonly listeners: readonly string[];
  /** URL of the dashboard and the API; absent: `--no-admin`. */
  readonly admin?: string | undefined;
  /** Path of the control socket; absent: this system has none. */
  readonly control?: string | undefined;
}

const FILE_BYTES_MAX = 64 * 1024;
/** A path of a Unix socket that is longer cannot be bound (`sun_path`; macOS has 104). */
const SOCKET_PATH_BYTES_MAX = 103;
/** How long a control socket may take to answer before its record counts as left behind. */
const ANSWER_MS = 2_000;

const folderOf = (stateDir: string): string => join(stateDir, 'instances');
const fileOf = (stateDir: string, pid: number): string => join(folderOf(stateDir), `${pid}.json`);

/** Mode 0600. Disposing removes it. */
export function writeInstance(stateDir: string, instance: Instance): Disposable {
  const path = fileOf(stateDir, instance.pid);
  replaceFile(path, `${JSON.stringify(instance, null, 2)}\n`);
  return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
}

/** The proxies of this user whose control socket answers. Windows has none: there a record counts if its process runs. */
export async function runningInstances(stateDir: string): Promise<Instance[]> {
  const found = await Promise.all(
    namesIn(folderOf(stateDir)).map(async (name) => {
      const instance = readInstance(join(folderOf(stateDir), name));
      return instance !== undefined && (await isAlive(instance)) ? [instance] : [];
    }),
  );
  return found.flat().sort((one, other) => one.pid - other.pid);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /^\d+\.json$/.test(name));
  } catch {
    return [];
  }
}

function readInstance(path: string): Instance | undefined {
  try {
    const value: unknown = JSON.parse(
      readFileBounded(path, { bytesMax: FILE_BYTES_MAX, pipes: 'refuse' }).toString('utf8'),
    );
    return isInstance(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isInstance(value: unknown): value is Instance {
  if (typeof value !== 'object' || value === null) return false;
  const isText = (name: string) => !(name in value) || typeof Object(value)[name] === 'string';
  return (
    'pid' in value && 'listeners' in value && Array.isArray(value.listeners) && isText('admin') && isText('control')
  );
}

async function isAlive({ pid, control }: Instance): Promise<boolean> {
  if (control === undefined) return process.platform === 'win32' && isRunning(pid);
  try {
    const { status } = await askControl(control, 'GET', '/healthz');
    return status === 200;
  } catch {
    return false;
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

export interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** One request through a control socket. Rejects when it does not answer. */
export const askControl = (socketPath: string, method: string, path: string, json?: unknown): Promise<ApiAnswer> =>
  ask({ socketPath, method, path }, {}, json);

/** One request to an admin address. Rejects when it does not answer. */
export function askAdmin(
  { url, token }: { readonly url: string; readonly token: string },
  method: string,
  path: string,
  json?: unknown,
): Promise<ApiAnswer> {
  const { protocol, hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  return ask({ protocol, host, port, method, path }, { authorization: `Bearer ${token}` }, json);
}

async function ask(to: RequestOptions, fields: Readonly<Record<string, string>>, json: unknown): Promise<ApiAnswer> {
  const send = to.protocol === 'https:' ? (await import('node:https')).request : nodeHttp().request;
  return new Promise((resolve, reject) => {
    const body = json === undefined ? undefined : JSON.stringify(json);
    const headers = { ...fields, ...(body !== undefined && { 'content-type': 'application/json' }) };
    const asked = send({ ...to, headers, timeout: ANSWER_MS, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        try {
          resolve({ status: response.statusCode ?? 0, body: text === '' ? undefined : JSON.parse(text) });
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
    asked.on('timeout', () => asked.destroy(new Error('the proxy does not answer')));
    asked.on('error', reject);
    asked.end(body);
  });
}

/** A control socket that listens. Disposing removes its file. */
export interface ControlSocket extends Disposable {
  readonly path: string;
}

/**
 * Lets `server` listen in `$XDG_RUNTIME_DIR/viaduct/`, else in the state folder. `undefined` on Windows, whose named pipes
 * are open to other users. Rejects when the folder or the socket cannot be made.
 */
export async function listenOnControl(
  server: Server,
  environment: Readonly<Record<string, string | undefined>>,
  stateDir: string,
): Promise<ControlSocket | undefined> {
  if (process.platform === 'win32') return undefined;
  const runtime = environment.XDG_RUNTIME_DIR;
  const folder = runtime ? join(runtime, 'viaduct') : stateDir;
  const path = join(folder, `control-${process.pid}.sock`);
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) throw new Error(`${path} is too long for a socket`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // Ours alone, also where it was there before.
  if (statSync(folder).uid === process.getuid?.()) chmodSync(folder, 0o700);
  // Left behind by a process that was killed and had our number.
  rmSync(path, { force: true });
  await bindPrivately(server, path);
  return { path, [Symbol.dispose]: () => rmSync(path, { force: true }) };
}

/** Mode 0600 from the first moment on: the umask holds while the file is made, which `listen` does at once. */
function bindPrivately(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const before = process.umask(0o177);
    try {
      server.listen({ path }, () => {
        server.off('error', reject);
        server.on('error', () => undefined);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}

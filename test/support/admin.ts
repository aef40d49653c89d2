import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Running, viaduct } from './cli.ts';
import { temporaryFolder } from './temporary.ts';

/** What a running proxy has written down about itself. */
export interface WrittenInstance {
  readonly pid: number;
  readonly listeners: readonly string[];
  readonly admin?: string;
  readonly control: string;
}

/** A command that runs with a state folder and an admin address of its own. */
export interface AdminUnderTest extends Disposable {
  readonly running: Running;
  readonly environment: Readonly<Record<string, string>>;
  readonly state: string;
  readonly instance: WrittenInstance;
  readonly port: number;
  readonly token: string;
  api(path: string, method?: string, json?: unknown): Promise<{ readonly status: number; readonly json: unknown }>;
}

/** Words of `viaduct run`, or words and variables. */
type Given =
  | readonly string[]
  | readonly [{ readonly words: readonly string[]; readonly environment: Readonly<Record<string, string>> }];

export async function adminUnderTest(...given: Given): Promise<AdminUnderTest> {
  const [first] = given;
  const { words, environment: more } =
    typeof first === 'object' ? first : { words: given.filter((one) => typeof one === 'string'), environment: {} };
  const folder = temporaryFolder();
  const environment = { XDG_STATE_HOME: folder.path, ...more };
  const running = viaduct(
    ['run', '--port', '0', '--pac', 'none', '--log', 'off', '--admin', '127.0.0.1:0', ...words],
    environment,
  );
  await running.says('dashboard on ').catch((error: unknown) => {
    folder[Symbol.dispose]();
    throw error;
  });
  const state = join(folder.path, 'viaduct');
  const [name = ''] = readdirSync(join(state, 'instances'));
  const instance: WrittenInstance = JSON.parse(readFileSync(join(state, 'instances', name), 'utf8'));
  const token = readFileSync(join(state, 'admin-token'), 'utf8').trim();
  return {
    running,
    environment,
    state,
    instance,
    token,
    port: Number(new URL(instance.listeners[0] ?? '').port),
    async api(path, method = 'GET', json) {
      const headers = {
        authorization: `Bearer ${token}`,
        ...(json !== undefined && { 'content-type': 'application/json' }),
      };
      const body = json === undefined ? null : JSON.stringify(json);
      const response = await fetch(`${instance.admin}${path}`, { method, headers, body });
      const text = await response.text();
      return { status: response.status, json: text === '' ? undefined : JSON.parse(text) };
    },
    [Symbol.dispose]() {
      running[Symbol.dispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** The rows of an answer: `{ "tunnels": […] }`. */
export function rowsIn(json: unknown, name = 'tunnels'): Record<string, unknown>[] {
  const rows: unknown = Object(json)[name];
  assert.ok(rows === undefined || Array.isArray(rows));
  return rows ?? [];
}

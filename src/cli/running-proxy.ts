import { join } from 'node:path';
import { type ApiAnswer, askAdmin, askControl, type Instance, runningInstances } from '../admin/instances.ts';
import { readFileBounded } from '../files/read-file.ts';
import { stateFolder } from '../files/state-folder.ts';
import type { Call } from './command.ts';
import { UsageError } from './print.ts';

/** The proxy that a command means: the one on `--port`, else the only one that runs. Throws UsageError. */
export function runningProxy({ settings }: Call, stateDir: string, environment: NodeJS.ProcessEnv): Promise<Instance> {
  return runningOn(settings.findLast(({ flag }) => flag.name === 'port')?.text ?? environment.VIADUCT_PORT, stateDir);
}

/** The proxy of this user on a port, or the only one that runs. Throws UsageError when none runs, or several do. */
export async function runningOn(port: string | undefined, stateDir: string): Promise<Instance> {
  const running = await runningInstances(stateDir);
  const wanted = port ? running.filter(({ listeners }) => listeners.some((url) => isOnPort(url, port))) : running;
  const [first, ...others] = wanted;
  if (first === undefined) {
    const which = port ? ` on port ${port}` : '';
    throw new UsageError(`no proxy of this user is running${which}; start one with viaduct run`);
  }
  if (others.length === 0) return first;
  throw severalRunning(wanted);
}

/** A command means one proxy. */
export function severalRunning(running: readonly Instance[]): UsageError {
  const list = running.map(({ pid, listeners }) => `${listeners[0] ?? 'no listener'} (process ${pid})`).join(', ');
  return new UsageError(`several proxies are running: ${list}; name one with --port`);
}

/**
 * What a running proxy answers: through its control socket, and where the system has none by its admin address, with the
 * token that stands in the state folder. Throws with its own words when it refuses.
 */
export async function askRunning(
  instance: Pick<Instance, 'control' | 'admin'>,
  method: string,
  path: string,
  json?: unknown,
): Promise<unknown> {
  const { status, body } = await answerOf(instance, method, path, json);
  if (status < 400) return body;
  const error = typeof body === 'object' && body !== null && 'error' in body ? body.error : undefined;
  const message = textIn(error, 'message') ?? `the proxy answered ${status}; is it of another version?`;
  // What a person has typed is wrong; with anything else the words are right, and this proxy cannot do it.
  throw status === 400 ? new UsageError(message) : new Error(message);
}

function answerOf(
  { control, admin }: Pick<Instance, 'control' | 'admin'>,
  method: string,
  path: string,
  json: unknown,
): Promise<ApiAnswer> {
  if (control !== undefined) return askControl(control, method, path, json);
  const token = process.env.VIADUCT_ADMIN_TOKEN || tokenIn(stateFolder(process.env));
  if (admin === undefined || token === undefined) {
    throw new UsageError('that proxy can be reached neither by a control socket nor by an admin address with a token');
  }
  return askAdmin({ url: admin, token }, method, path, json);
}

const READ = { bytesMax: 64 * 1024, pipes: 'refuse' } as const;

/** The token of the API, as a running proxy keeps it for its user. */
export function tokenIn(stateDir: string): string | undefined {
  try {
    return readFileBounded(join(stateDir, 'admin-token'), READ).toString('utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}

/** A text in an answer. */
export function textIn(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const found: unknown = Object.entries(value).find(([key]) => key === name)?.[1];
  return typeof found === 'string' ? found : undefined;
}

const isOnPort = (url: string, port: string): boolean => url.endsWith(`:${port}`);

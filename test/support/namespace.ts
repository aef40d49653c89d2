import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { missing } from './requires.ts';

/** An address that the namespace has besides loopback, so that a machine with more than one name can be played. */
export const MACHINE_IP = '10.9.8.7';

/** Without root, a user namespace gives the right to make a network namespace. */
const FLAGS = process.getuid?.() === 0 ? ['-n'] : ['-rn'];

/** The kernel ends what runs inside at once with the process that started it. */
const ENDS_WITH_US = ['--pid', '--fork', '--kill-child'];

const SETUP = `ip link set lo up && ip addr add ${MACHINE_IP}/32 dev lo && exec "$0" "$@"`;

/** For the `skip` option of a test: false where programs can be started without a network, else the reason. */
export function noNamespace(): string | false {
  if (process.platform !== 'linux') return 'network namespaces exist on Linux only';
  const absent = missing('iproute2', 'util-linux');
  if (absent !== false) return absent;
  const tried = spawnSync('unshare', [...FLAGS, 'true'], { encoding: 'utf8' });
  return tried.status !== 0 && `this user may not make a network namespace: ${tried.stderr.trim()}`;
}

/**
 * Starts a script on this Node where there is loopback and nothing else: no other address can be reached from there.
 * Standard output is a pipe, standard error is ours.
 */
export function startWithoutNetwork(script: URL, ...words: readonly string[]): ChildProcess {
  const program = [process.execPath, '--disable-warning=ExperimentalWarning', script.pathname, ...words];
  const flags = [...FLAGS, ...ENDS_WITH_US];
  return spawn('unshare', [...flags, 'sh', '-c', SETUP, ...program], { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Set for a test file that `runInside` has started again. */
const INSIDE = 'VIADUCT_TEST_INSIDE';
export const isInside = (): boolean => process.env[INSIDE] === '1';

/**
 * Runs a test file once more, where there is loopback and nothing else, and `isInside()` holds. Rejects with what it
 * printed when a test in it fails. `setup` is shell script that is run first, with mounts that no other process sees.
 */
export function runInside(file: string, setup = 'true'): Promise<void> {
  const program = [process.execPath, '--disable-warning=ExperimentalWarning', fileURLToPath(file)];
  const script = SETUP.replace('&& exec', `&& { ${setup}; } && exec`);
  // Without the variable by which the test runner's own children know that they are its children.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn('unshare', [...FLAGS, '-m', 'sh', '-c', script, ...program], {
    env: { ...env, [INSIDE]: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(printed))));
  });
}

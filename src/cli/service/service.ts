import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, rmSync } from 'node:fs';
import { homedir, networkInterfaces, userInfo } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { isSea } from 'node:sea';
import { addressText } from '../../clients/options.ts';
import { suggestion } from '../../config/nearest.ts';
import { load } from '../../config/sources.ts';
import { replaceFile } from '../../files/replace-file.ts';
import { stateFolder } from '../../files/state-folder.ts';
import { redact } from '../../util/redact.ts';
import type { Call } from '../command.ts';
import { logLine, out, UsageError } from '../print.ts';
import { drainRunning } from './drain-running.ts';
import { launchd } from './launchd.ts';
import { SERVICE_ACTIONS, type ServiceAction } from './service-actions.ts';
import type { ServicePlan, ServiceSystem, ServiceTarget, SystemCommand } from './service-system.ts';
import { systemd } from './systemd.ts';
import { taskScheduler } from './task-scheduler.ts';

/** `viaduct service ACTION`. */
export async function run({ operands: [word = ''], settings, options }: Call): Promise<number> {
  const action = SERVICE_ACTIONS.find((one) => one === word);
  if (action === undefined) {
    throw new UsageError(
      `service has no action ${redact(word)}${suggestion(word, SERVICE_ACTIONS)}; write ${SERVICE_ACTIONS.join(', ')}`,
    );
  }
  if (options.has('system')) {
    throw new UsageError(
      'a service of the system runs as another user: it cannot log in to upstream proxies as you, nor read your keyring; without --system it is a service of yours',
    );
  }
  const system = systemHere();
  const words = settings.map(({ flag, text }) => (text === '' ? `--${flag.name}` : `--${flag.name}=${text}`));
  const addresses = action === 'install' && system === systemd ? loopbackAddresses(settings) : [];
  const plan = system.plan(action, targetHere(words, addresses));
  if (options.has('dry-run')) {
    printPlan(system, plan);
    return 0;
  }
  // As sd_booted(3) does: systemctl may be there without systemd, in containers and under WSL 1.
  if (system === systemd && !existsSync('/run/systemd/system')) {
    throw new UsageError(
      'systemd does not run here, so there are no services of a user; `viaduct service install --dry-run` prints the command to start at log-on by other means',
    );
  }
  if (action === 'restart' && process.platform === 'win32') await drainRunning(stateFolder(process.env));
  return carryOut(action, plan);
}

/** Whether the files are there that `install` writes, or a package's unit is enabled. */
export function isServiceInstalled(): boolean {
  const { removed } = systemHere().plan('uninstall', targetHere([], []));
  const enabled = removed.map((path) => join(dirname(path), 'default.target.wants', basename(path)));
  return [...removed, ...enabled].some((path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined);
}

function systemHere(): ServiceSystem {
  switch (process.platform) {
    case 'darwin':
      return launchd;
    case 'win32':
      return taskScheduler;
    default:
      return systemd;
  }
}

/**
 * Listeners on loopback, which systemd can open before anything else; those that this machine lacks would keep it from
 * opening the others. Throws ConfigError: a service with a wrong configuration would only fail. The variables of this shell
 * are not those of the service.
 */
function loopbackAddresses(flags: Call['settings']): string[] {
  const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VIADUCT_')));
  const { listen, workers } = load({ flags, environment, isTerminal: false }).config;
  // systemd passes its sockets to one process.
  if (workers !== 1) return [];
  const own = Object.values(networkInterfaces()).flatMap((all) => all?.map(({ address }) => address) ?? []);
  return listen.flatMap((one) => {
    if (one.kind !== 'tcp' || one.port === 0) return [];
    const isLoopback = /^127\.\d+\.\d+\.\d+$/.test(one.host) || (one.host === '::1' && own.includes('::1'));
    return isLoopback ? [addressText(one)] : [];
  });
}

/** The program as it was started: an executable of one file, or Node with the command's path. */
function targetHere(words: readonly string[], addresses: readonly string[]): ServiceTarget {
  const { uid, username: user } = userInfo();
  const home = homedir();
  const command = isSea() ? [] : [process.argv[1] ?? ''];
  const logFolder = process.platform === 'darwin' ? join(home, 'Library', 'Logs') : stateFolder(process.env);
  return {
    program: [process.execPath, ...command, 'run', ...words],
    home,
    environment: process.env,
    uid,
    user,
    addresses,
    logFile: join(logFolder, 'viaduct.log'),
  };
}

function printPlan({ name }: ServiceSystem, { files, removed, commands, notes }: ServicePlan): void {
  out(`# ${name}`);
  for (const { path, text } of files) out(`# ${path}\n${text.trimEnd()}`);
  for (const { words } of commands) out(`$ ${words.join(' ')}`);
  for (const path of removed) out(`# removed: ${path}`);
  for (const note of notes) out(`# ${note}`);
}

function carryOut(action: ServiceAction, { files, removed, commands, notes }: ServicePlan): number {
  for (const { path, text, encoding } of files) {
    replaceFile(path, encoding === 'utf8' ? text : `\uFEFF${text}`, encoding);
    logLine(`viaduct: wrote ${path}`);
  }
  for (const command of commands) {
    const code = runCommand(command);
    if (code !== 0 && command.need === 'required') {
      if (action !== 'status') logLine(`viaduct: ${command.words.join(' ')} failed with ${code}`);
      return 1;
    }
  }
  for (const path of removed) rmSync(path, { force: true });
  for (const note of notes) logLine(`viaduct: ${note}`);
  return 0;
}

/** Its exit code; what it prints is for the person. */
function runCommand({ words: [program, ...rest], need }: SystemCommand): number {
  const { status, error } = spawnSync(program, rest, { stdio: need === 'required' ? 'inherit' : 'ignore' });
  if (error !== undefined && need === 'required') logLine(`viaduct: ${program}: ${error.message}`);
  return status ?? 1;
}

import { join } from 'node:path';
import { stateFolder } from '../../files/state-folder.ts';
import { quoted } from '../../util/redact.ts';
import type { Call } from '../command.ts';
import { type MeantProxy, meantProxy } from '../meant-proxy.ts';
import { UsageError } from '../print.ts';
import { askRunning } from '../running-proxy.ts';
import { caFileFor } from './ca-file.ts';
import { foundTools, namedTools } from './choose-tools.ts';
import { JournalFile } from './journal.ts';
import { listTools } from './list-tools.ts';
import { lockSetup } from './lock.ts';
import { type Machine, thisMachine } from './machine.ts';
import type { SetupScope } from './scope.ts';
import { setUpTools } from './set-up-tools.ts';
import type { Tool } from './tool.ts';
import { undoTools } from './undo-tools.ts';
import { wantedFor } from './wanted.ts';

/** `viaduct setup`: points tools at the proxy, shows which are, and undoes it. */
export async function run(call: Call): Promise<number> {
  const { options, operands } = call;
  const machine = thisMachine(process.env);
  const scope = scopeOf(options.get('scope')?.at(-1));
  const stateDir = scope === 'system' ? systemStateFolder(machine) : stateFolder(process.env);
  const at: SetupScope = { machine, scope, stateDir, journal: new JournalFile(stateDir) };
  const isDry = options.has('dry-run') || (scope === 'system' && !options.has('yes'));
  const named = namedTools(operands, scope);
  refuseUnlessAdministrator(at, isDry ? 'shown' : 'made');
  // Held until everything below has ended.
  using _lock = isDry || options.has('list') ? undefined : lockSetup(stateDir);
  if (options.has('undo')) return await undoTools(named, at, isDry ? 'shown' : 'made');
  const proxy = await withLiveListeners(await meantProxy(call, process.env));
  const isPacOnly = options.has('pac');
  if (isPacOnly) refuseWithoutPac(named);
  const ca = options.get('ca')?.at(-1);
  const wanted = wantedFor(
    proxy,
    isPacOnly ? 'only' : 'where-served',
    isDry && ca !== undefined && ca !== 'none' ? join(stateDir, 'ca-bundle.pem') : caFileFor(ca, stateDir),
  );
  if (options.has('list')) return await listTools(wanted, at, named);
  const chosen = named.length > 0 ? named : foundTools(machine, scope).filter((tool) => !isPacOnly || tool.takesPac);
  return await setUpTools(chosen, wanted, at, {
    changes: isDry ? 'shown' : 'made',
    after: options.has('yes') ? 'run' : 'printed',
  });
}

/** Bridges come and go while it runs; the record says where it began to listen. */
async function withLiveListeners(proxy: MeantProxy): Promise<MeantProxy> {
  const { instance } = proxy;
  if (instance === undefined) return proxy;
  try {
    const body = await askRunning(instance, 'GET', '/api/status');
    const listeners = typeof body === 'object' && body !== null && 'listeners' in body ? body.listeners : undefined;
    if (!Array.isArray(listeners)) return proxy;
    return { ...proxy, instance: { ...instance, listeners: listeners.map(String) } };
  } catch {
    return proxy;
  }
}

function refuseWithoutPac(named: readonly Tool[]): void {
  const other = named.find((tool) => !tool.takesPac);
  if (other === undefined) return;
  throw new UsageError(
    `--pac: ${other.name} cannot use a PAC; viaduct setup ${other.name} gives it the address of the proxy`,
  );
}

function scopeOf(text: string | undefined): Tool['scope'] {
  if (text === undefined || text === 'user') return 'user';
  if (text === 'system') return 'system';
  throw new UsageError(`--scope: ${quoted(text)} is unknown; write user or system`);
}

function refuseUnlessAdministrator({ machine, scope }: SetupScope, changes: 'shown' | 'made'): void {
  if (scope === 'user' || changes === 'shown' || machine.isAdministrator || machine.platform === 'win32') return;
  throw new UsageError('only an administrator changes the system; without --yes this prints the command with sudo');
}

function systemStateFolder({ platform, environment }: Machine): string {
  return platform === 'win32' ? join(environment.ProgramData ?? 'C:\\ProgramData', 'viaduct') : '/var/lib/viaduct';
}

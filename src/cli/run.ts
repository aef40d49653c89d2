import { readFileSync } from 'node:fs';
import type { ConfigFile } from '../config/file.ts';
import { readText } from '../config/file.ts';
import { ConfigError } from '../config/problems.ts';
import { Reloader } from '../config/reload.ts';
import type { Config } from '../config/schema.ts';
import { load, type Sources } from '../config/sources.ts';
import { watchBeside } from '../config/watch.ts';
import { systemClock } from '../core/clock.ts';
import { type RunningProxy, startProxy } from '../proxy.ts';
import type { Call } from './commands.ts';
import { noticesTo } from './notices.ts';
import { tell } from './print.ts';
import { untilStopped } from './signals.ts';

/** Every tunnel holds two files; below this a busy afternoon runs out of them. */
const FILES_MIN = 4096;

/** `viaduct run`: serves until it is told to stop. */
export async function run({ settings }: Call): Promise<number> {
  const sources: Sources = { flags: settings, environment: process.env, isTerminal: process.stdout.isTTY === true };
  const loaded = load(sources);
  let { config } = loaded;
  const inform = (line: string) => {
    if (!config.quiet) tell(line);
  };
  const report = (level: 'info' | 'error', line: string) => {
    if (level === 'error' || !config.quiet) tell(`viaduct: ${line}`);
  };
  for (const notice of loaded.notices) tell(`viaduct: ${notice}`);
  warnOfFewFiles(inform);

  const proxy = await startProxy(config, { exporters: [noticesTo(report)] });
  const reloader = new Reloader(loaded, {
    load: () => load(sources),
    text: textNow,
    async apply(next: Config) {
      await proxy.reload(next);
      config = next;
    },
    tell: report,
  });
  using _watching = loaded.file && watched(loaded.file, reloader, inform);
  const stopped = untilStopped({
    proxy,
    drainMs: () => config.timeouts.drainMs,
    reload: () => void reloader.requested(),
    tell: inform,
    source: process,
    clock: systemClock,
    echoes: process.env.npm_lifecycle_event === undefined ? 'none' : 'npm',
  });
  announce(proxy, inform);
  const cut = await stopped;
  if (cut > 0) inform(`stopped; ${cut} open ${cut === 1 ? 'request was' : 'requests were'} cut`);
  return 0;
}

/** Programs that start a proxy wait for these lines, so they come when signals are already heard. */
function announce(proxy: RunningProxy, inform: (line: string) => void): void {
  for (const url of proxy.urls) inform(`listening on ${url}`);
}

function watched(file: ConfigFile, reloader: Reloader, inform: (line: string) => void): Disposable | undefined {
  try {
    return watchBeside(file.name, systemClock, () => void reloader.fileTouched());
  } catch (error) {
    // The system may have no watch left to give; the proxy can do without.
    inform(`${file.name} is not watched (${error instanceof Error ? error.message : error}); SIGHUP reloads it`);
    return undefined;
  }
}

function textNow(file: ConfigFile): string | undefined {
  try {
    return readText(file.name);
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

/** Node has raised the soft limit to the hard one already; only whoever starts it can raise that. */
function warnOfFewFiles(inform: (line: string) => void): void {
  let limits: string;
  try {
    limits = readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return; // Only Linux tells.
  }
  const files = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? FILES_MIN);
  if (files < FILES_MIN)
    inform(
      `only ${files} files may be open: enough for about ${Math.floor(files / 2)} tunnels; raise it with ulimit -n 65536`,
    );
}

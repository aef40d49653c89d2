import { type ConfigFile, readText } from '../config/file.ts';
import { ConfigError } from '../config/problems.ts';
import { Reloader } from '../config/reload.ts';
import { load, type Sources } from '../config/sources.ts';
import { systemClock } from '../core/clock.ts';
import { notices } from '../observe/notices.ts';
import { activeRelay } from '../relay/choose.ts';
import { watchBeside } from '../watch/file.ts';
import type { Call } from './commands.ts';
import { printHash } from './hash.ts';
import { warnOfFewFiles } from './open-files.ts';
import { tell } from './print.ts';
import { credentialSources } from './prompt-accounts.ts';
import { serve } from './serving.ts';
import { untilStopped } from './signals.ts';
import { stateFolder } from './state-folder.ts';
import { expectShortLives } from './young-heap.ts';

/** `viaduct run`: serves until it is told to stop. */
export async function run(call: Call): Promise<number> {
  if (call.options.has('hash')) return printHash(call, 'alpaca');
  expectShortLives();
  const { settings } = call;
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

  const heard = notices({ stderr: process.stderr, clock: systemClock, from: config.quiet ? 'error' : 'info' });
  const stateDir = stateFolder(process.env);
  const options = { ...config.credentials, upstreams: config.upstreams };
  const credentials = await credentialSources(options, process.env, stateDir);
  // Later, when signals are heard: whoever sees the socket may already send one.
  const starting = Promise.resolve().then(() => serve(loaded, { notices: heard, stateDir, credentials, inform }));
  const reloader = new Reloader(loaded, {
    load: () => load(sources),
    text: textNow,
    async apply(next) {
      await (await starting).apply(next);
      if (next.config.workers !== config.workers) report('info', 'workers: another number counts from the next start');
      config = next.config;
    },
    tell: report,
  });
  using _watching = loaded.file && watched(loaded.file, reloader, inform);
  const stopped = untilStopped({
    proxy: starting,
    drainMs: () => config.timeouts.drainMs,
    reload: () => void reloader.requested(),
    tell: inform,
    source: process,
    clock: systemClock,
    echoes: process.env.npm_lifecycle_event === undefined ? 'none' : 'npm',
  });
  // Programs that start a proxy wait for these lines; from here on it serves.
  for (const url of (await starting).urls) inform(`listening on ${url}`);
  inform(`relay: ${activeRelay(config.relay)}`);
  const cut = await stopped;
  if (cut > 0) inform(`stopped; ${cut} open ${cut === 1 ? 'request was' : 'requests were'} cut`);
  return 0;
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

import { addressesOf as adminAddressesOf, reserveAdmin } from '../../admin/listen.ts';
import type { Config } from '../../config/config.ts';
import { readConfig } from '../../config/file.ts';
import type { ShownSetting } from '../../config/provenance.ts';
import { digestOfFile, externalStateOf } from '../../config/reload/external-state.ts';
import { rereadInThread } from '../../config/reload/reader.ts';
import { Reloader } from '../../config/reload/reload.ts';
import { type ConfigFiles, configFilesOf } from '../../config/reload/reread.ts';
import { load, type Sources, shownInForce } from '../../config/sources.ts';
import { loginFile } from '../../credentials/login-record.ts';
import { stateFolder } from '../../files/state-folder.ts';
import { notices } from '../../observe/notices.ts';
import { durationText } from '../../observe/units.ts';
import type { ListenAddress } from '../../policy/listen-addresses.ts';
import { activeRelay } from '../../relay/choose-relay.ts';
import { systemClock } from '../../util/clock.ts';
import { DisposerStack } from '../../util/disposer-stack.ts';
import { printHash } from '../account/hash.ts';
import { credentialSources } from '../account/prompt-accounts.ts';
import type { Call } from '../command.ts';
import { logLine } from '../print.ts';
import type { CommandAdmin } from './admin.ts';
import { CheckedBefore } from './checked-before.ts';
import { collectAfterReload, collectNow } from './collect-heap.ts';
import { commandLogger, levelFrom } from './command-logger.ts';
import { keepCaches } from './compile-cache.ts';
import { DelayedDrain } from './delayed-drain.ts';
import { accountAtHand, firstRunLines } from './first-run.ts';
import { serve } from './serve.ts';
import { inheritedSockets, ServiceManager } from './service-manager.ts';
import { reportText, waitForShutdown } from './signals.ts';
import { setV8Flags } from './v8-flags.ts';
import { WatchedFiles } from './watched-files.ts';
import { boundYoungSpace } from './young-space.ts';

/** The start is over, and a client that has waited for it has come. */
const COLLECT_AFTER_MS = 1000;

/** `viaduct run`: serves until a signal stops it. */
export async function run(call: Call): Promise<number> {
  if (call.options.has('hash')) return printHash(call, 'alpaca');
  setV8Flags();
  // Before anything else is started: no other program may take what is meant for this one.
  const inherited = inheritedSockets(process.env);
  using manager = ServiceManager.find(process.env, systemClock);
  const { settings } = call;
  const sources: Sources = { flags: settings, environment: process.env, isTerminal: process.stdout.isTTY === true };
  // No other variable may hold a configuration: after a reload the memory of the old one must be free.
  const settingsBefore = new CheckedBefore();
  let { config, from, notices: readNotices } = firstRead(sources, settingsBefore);
  const logger = commandLogger(logLine, () => config);
  for (const notice of readNotices) logLine(`viaduct: ${notice}`);

  // Of the process and not of the proxy: what happens after a drain is logged, too.
  await using noticeExporter = notices({
    stderr: process.stderr,
    clock: systemClock,
    from: () => levelFrom(config),
  });
  const stateDir = stateFolder(process.env);
  const options = { ...config.credentials, upstreams: config.upstreams };
  const credentials = await credentialSources(options, process.env, stateDir);
  const stopAsked = Promise.withResolvers<void>();
  await using later = new DisposerStack((name, error) =>
    logger.warn(`${name}: ${error instanceof Error ? error.message : String(error)}`),
  );
  let admin: CommandAdmin | undefined;
  let isStopping = false;
  let hasServed = false;
  const openOnce = async (): Promise<CommandAdmin> => {
    const { openAdmin } = await import('./admin.ts');
    const opened = await openAdmin(config, {
      stateDir,
      environment: process.env,
      observe: noticeExporter.observe,
      logger,
      reserved: await reserving,
      owner: {
        reload: async () => {
          const outcome = await reloader.reloadNow();
          followFiles();
          return outcome;
        },
        drain: (then) => {
          if (then === 'ends') return stopAsked.resolve();
          void starting
            .then((proxy) => proxy.close({ drainMs: config.timeouts.drainMs }))
            .then((report) => {
              const message = reportText(report, 'drained');
              if (message !== undefined) admin?.server.observe({ type: 'notice', level: 'info', message });
            })
            .catch(() => undefined);
        },
        explain: async (url) => {
          // Most proxies never explain anything: what it needs is loaded when it is asked for.
          const { explainedPage } = await import('../explain/explained-page.ts');
          const { urls } = await starting;
          const own = [...addressesOf(urls), ...ownAddresses];
          return explainedPage(url, { config, credentials, stateDir, ownAddresses: () => own });
        },
        settings: () => settingsOf(sources, reloader.current),
      },
      isTerminal: process.stderr.isTTY === true,
    });
    admin = later.use('admin', opened);
    if (isStopping) opened.server.drain();
    return opened;
  };
  let opening: Promise<CommandAdmin> | undefined;
  const openedAdmin = (): Promise<CommandAdmin> => {
    opening ??= openOnce();
    return opening;
  };
  // An address that another program has is refused before anything serves. The dashboard itself opens when the proxy listens, or
  // when a client asks for it: an HTTP server and the API take as long to load as all else.
  const reserving = reserveAdmin(config.admin, () => void openedAdmin().catch(() => undefined));
  const reserved = await reserving;
  later.defer('admin addresses', () => {
    for (const address of reserved) address.release();
  });
  const ownAddresses = adminAddressesOf(reserved);
  // Its certificate may be wrong.
  if (config.admin?.tls !== undefined) await openedAdmin();
  const delayedDrain = new DelayedDrain({
    clock: systemClock,
    delayMs: () => config.timeouts.drainDelayMs,
    announce(delayMs) {
      manager.notify('STOPPING=1');
      isStopping = true;
      admin?.server.drain();
      if (delayMs > 0) logger.status(`stopping: new connections are served for ${durationText(delayMs)} more`);
    },
  });
  // After the handlers of signals are set: a program that sees the socket may send one at once.
  const starting = Promise.resolve().then(() =>
    serve(config, {
      notices: noticeExporter,
      stateDir,
      credentials,
      logger,
      inherited,
      adminAddresses: () => ownAddresses,
      onEvent(event) {
        hasServed ||= event.type === 'request';
        admin?.server.show(event);
      },
      delayedDrain,
    }),
  );
  const reloader = new Reloader(from, {
    clock: systemClock,
    read: (before) => rereadInThread({ ...sources, pipes: 'refuse' }, before),
    digest: digestOfFile,
    externalState: () => externalStateOf(reloader.files, config),
    async apply(next, cause) {
      await (await starting).apply(next.config, cause);
      collectAfterReload(systemClock);
      config = next.config;
    },
    logger,
  });
  using watched = new WatchedFiles({
    clock: systemClock,
    onChange: (file) => void (config.reload === 'watch' && reloader.fileTouched(file).then(followFiles)),
    logger,
  });
  const followFiles = () => watched.setFiles(reloader.files);
  followFiles();
  const openAtShutdown = waitForShutdown({
    proxy: starting,
    drainMs: () => config.timeouts.drainMs,
    reload: () => void reloader.requested().then(followFiles),
    asked: stopAsked.promise,
    reopenLog: () => void starting.then((proxy) => proxy.reopenLog()).catch(() => undefined),
    logger,
    source: process,
    clock: systemClock,
    echoes: process.env.npm_lifecycle_event === undefined ? 'none' : 'npm',
  });
  // Programs that start a proxy wait for these lines; from here on it serves.
  const proxy = await starting;
  for (const url of proxy.urls) logger.status(`listening on ${url}`);
  logger.status(`relay: ${activeRelay(config.relay)}`);
  boundYoungSpace();
  const collectUnlessServing = () => {
    if (!hasServed) collectNow();
  };
  using _caches = keepCaches(systemClock, settingsBefore, collectUnlessServing);
  const { server: dashboard, serve: showProxy } = await openedAdmin();
  await showProxy(proxy.controlled);
  using _collection = systemClock.after(COLLECT_AFTER_MS, collectUnlessServing);
  manager.ready();
  if (from.name === undefined && config.routes.pac === 'system' && process.stderr.isTTY === true) {
    const { urls } = proxy;
    const account = await accountAtHand(process.env, loginFile(stateDir));
    const firstRun = { pac: (await proxy.controlled.ways()).pac, account, urls, dashboard: dashboard.url };
    for (const line of firstRunLines(firstRun)) logger.status(line);
  }
  const report = reportText(await openAtShutdown);
  if (report !== undefined) logger.status(report);
  return 0;
}

/** Of the listeners; a path is no address. */
const addressesOf = (urls: readonly string[]): ListenAddress[] =>
  urls.flatMap((text) => {
    const { hostname, port } = URL.parse(text) ?? {};
    return hostname && port ? [{ address: hostname.replace(/^\[|\]$/g, ''), port: Number(port) }] : [];
  });

/** A larger file takes too long to read while requests are served. */
const SHOWN_BYTES_MAX = 1_048_576;

function settingsOf(sources: Sources, { name, bytes }: ConfigFiles): ShownSetting[] {
  if (name === undefined || bytes === undefined) return shownInForce(sources, undefined);
  if (bytes.length > SHOWN_BYTES_MAX) {
    return [{ path: '', value: 'the file is too large to show here; viaduct check prints it', origin: name }];
  }
  return shownInForce(sources, readConfig(bytes, name));
}

/** Of all that was read for it nothing else is kept: of a large configuration that is much. */
function firstRead(
  sources: Sources,
  { check }: CheckedBefore,
): { config: Config; from: ConfigFiles; notices: readonly string[] } {
  const loaded = load(sources, check);
  return { config: loaded.config, from: configFilesOf(loaded), notices: loaded.notices };
}

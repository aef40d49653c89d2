import type { ControlledProxy, ProxyOwner } from '../../admin/controlled-proxy.ts';
import { listenOnControl, writeInstance } from '../../admin/instances.ts';
import type { ReservedAdmin } from '../../admin/listen.ts';
import { AdminServer } from '../../admin/server.ts';
import type { Config } from '../../config/config.ts';
import type { Observe } from '../../contracts/event.ts';
import { adminToken } from '../../credentials/admin-token.ts';
import { version } from '../../files/version.ts';
import { systemClock } from '../../util/clock.ts';
import { DisposerStack } from '../../util/disposer-stack.ts';
import type { CommandLogger } from './command-logger.ts';

export interface CommandAdminOptions {
  readonly stateDir: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly observe: Observe;
  readonly logger: CommandLogger;
  readonly owner: ProxyOwner;
  readonly reserved: ReservedAdmin;
  /** Whether a person sees standard error: only then a link that signs in is printed. */
  readonly isTerminal: boolean;
}

/** Dashboard and API of a proxy that the command runs, its control socket and its record. */
export interface CommandAdmin extends AsyncDisposable {
  readonly server: AdminServer;
  /** The proxy serves: it is shown, and other commands find it. */
  serve(proxy: ControlledProxy): Promise<void>;
}

/** Serves at the admin addresses; `/readyz` says that the proxy starts. */
export async function openAdmin(config: Config, options: CommandAdminOptions): Promise<CommandAdmin> {
  const { stateDir, environment, observe, logger, owner, reserved, isTerminal } = options;
  const parts = new DisposerStack((name, error) => logger.warn(`${name}: ${messageOf(error)}`));
  const token = adminToken({ origin: config.admin?.token, environment, stateDir });
  try {
    // Other commands find it in its file from now on.
    token.read();
  } catch (error) {
    logger.warn(`the admin token holds for this run alone, since it cannot be stored: ${messageOf(error)}`);
  }
  const server = parts.use(
    'admin server',
    await AdminServer.open(config.admin, { clock: systemClock, observe, token, version: version(), owner, reserved }),
  );
  return {
    server,
    async serve(proxy) {
      server.serve(proxy);
      const control = await openControl(parts, server, options);
      try {
        const { urls } = proxy;
        const startedAt = new Date(systemClock.wallMs() - process.uptime() * 1000).toISOString();
        const instance = {
          pid: process.pid,
          version: version(),
          startedAt,
          listeners: urls,
          admin: server.url,
          control,
        };
        parts.use('record of this proxy', writeInstance(stateDir, instance));
      } catch (error) {
        logger.warn(`other commands will not find this proxy: ${messageOf(error)}`);
      }
      if (server.url === undefined) return;
      const [wanted] = config.admin?.listen ?? [];
      const moved = server.wasMoved && wanted?.kind === 'tcp' ? `; port ${wanted.port} is taken` : '';
      logger.status(`dashboard on ${server.url}${moved}`);
      if (isTerminal) logger.status(`sign in once, within 10 minutes: ${server.link()}`);
    },
    [Symbol.asyncDispose]: () => parts[Symbol.asyncDispose](),
  };
}

/** Its path; without it the proxy works all the same. */
async function openControl(
  parts: DisposerStack,
  server: AdminServer,
  { environment, stateDir, logger }: CommandAdminOptions,
): Promise<string | undefined> {
  let path: string | undefined;
  try {
    await server.openControl(async (socket) => {
      const control = await listenOnControl(socket, environment, stateDir);
      if (control !== undefined) path = parts.use('control socket', control).path;
    });
  } catch (error) {
    logger.warn(`there is no control socket: ${messageOf(error)}`);
  }
  return path;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

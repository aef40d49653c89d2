import { randomBytes } from 'node:crypto';
import { EndedClients } from '../clients/ended-clients.ts';
import type { Http1Context } from '../clients/http1/context.ts';
import { RepeatedTunnels } from '../clients/repeated-tunnels.ts';
import type { RepeatTable } from '../native/repeat-table.ts';
import type { IdleWatch } from '../net/idle-watch.ts';
import type { Services } from '../pipeline/services.ts';
import { HEAD_LIMITS } from '../protocol/http1/head-buffer.ts';
import { bodyMover } from '../relay/body-transfer.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { Clock } from '../util/clock.ts';
import type { InForce } from './in-force.ts';

/** Silence between two requests of a client. Browsers keep idle connections for minutes; each costs a descriptor. */
const KEEP_ALIVE_MS = 60_000;

export interface ClientContextDeps {
  readonly clock: Clock;
  readonly idle: IdleWatch;
  readonly inForce: InForce;
  readonly sessions: Sessions;
  /** Begins the ids of requests; of several processes each has another one. Default: a random one. */
  readonly idPrefix: string | undefined;
  /** `undefined`: the addon opens no tunnel by itself. */
  readonly repeatTable: RepeatTable | undefined;
}

/** What the client connections of all listeners share. Settings are read when they are needed, so a reload reaches open connections. */
export class ClientContext implements Http1Context {
  readonly clock: Clock;
  readonly idle: IdleWatch;
  readonly sessions: Sessions;
  readonly ended: EndedClients = new EndedClients();
  readonly bodies: Http1Context['bodies'];
  readonly headLimits: Http1Context['headLimits'] = HEAD_LIMITS;
  readonly keepAliveMs: number = KEEP_ALIVE_MS;
  readonly repeats: RepeatedTunnels | undefined;
  readonly #inForce: InForce;
  #idPrefix: string | undefined;
  #requests = 0;
  #isDraining = false;

  constructor({ clock, idle, inForce, sessions, idPrefix, repeatTable: table }: ClientContextDeps) {
    this.clock = clock;
    this.idle = idle;
    this.sessions = sessions;
    this.bodies = bodyMover(idle);
    this.#inForce = inForce;
    this.#idPrefix = idPrefix;
    this.repeats = table && new RepeatedTunnels({ table, sessions, nextId: () => this.nextId() });
  }

  get requestHeadMs(): number {
    return this.#inForce.config.timeouts.requestHeadMs;
  }

  watchesFiles(): boolean {
    return this.#inForce.config.reload === 'watch';
  }

  services(): Services {
    return this.#inForce.services;
  }

  nextId(): string {
    this.#requests += 1;
    // Not at the start: node:crypto takes a tenth of its time to load.
    this.#idPrefix ??= randomBytes(3).toString('hex');
    return `${this.#idPrefix}-${this.#requests.toString(36)}`;
  }

  /** From now on requests are refused, and responses close their connection. */
  drain(): void {
    this.#isDraining = true;
  }

  draining(): boolean {
    return this.#isDraining;
  }
}

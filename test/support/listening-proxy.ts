import { createGeneration } from '../../src/app/generation.ts';
import { createSharedServices } from '../../src/app/shared-services.ts';
import type { ClientContext, ClientProtocol } from '../../src/clients/client-protocol.ts';
import { EndedClients } from '../../src/clients/ended-clients.ts';
import type { Http1Context } from '../../src/clients/http1/context.ts';
import { ListenerSet } from '../../src/clients/listener-set.ts';
import { type ConfigInput, resolveOptions } from '../../src/config/schema.ts';
import type { ProxyEvent } from '../../src/contracts/event.ts';
import { ProxyError } from '../../src/contracts/failure.ts';
import type { Limiter } from '../../src/contracts/limits.ts';
import type { ProxyRecord } from '../../src/contracts/record.ts';
import { createLimits } from '../../src/limits/limits.ts';
import { HEAD_LIMITS } from '../../src/protocol/http1/head-buffer.ts';
import { Sessions } from '../../src/sessions/sessions.ts';
import { systemClock } from '../../src/util/clock.ts';
import { trusting } from './trusting.ts';

/** A proxy whose listener speaks the protocol of a test: the modules of a configuration behind a set of listeners. */
export class ListeningProxy implements AsyncDisposable {
  readonly listeners: ListenerSet;
  readonly context: Http1Context;
  readonly records: readonly ProxyRecord[];
  readonly #waiting: Set<() => void>;
  readonly #parts: readonly AsyncDisposable[];

  private constructor(
    { listeners, context, records }: Pick<ListeningProxy, 'listeners' | 'context' | 'records'>,
    waiting: Set<() => void>,
    parts: readonly AsyncDisposable[],
  ) {
    this.listeners = listeners;
    this.context = context;
    this.records = records;
    this.#waiting = waiting;
    this.#parts = parts;
  }

  /** On a free port of 127.0.0.1, with places for `connectionsMax` connections; `scheme` is that of its URL. */
  static async start(
    input: ConfigInput,
    createProtocol: (context: Http1Context) => ClientProtocol,
    {
      connectionsMax = 10,
      scheme = 'http',
      limiter: other,
    }: { readonly connectionsMax?: number; readonly scheme?: string; readonly limiter?: Limiter } = {},
  ): Promise<ListeningProxy> {
    const config = resolveOptions(input);
    const records: ProxyRecord[] = [];
    const waiting = new Set<() => void>();
    const observe = (event: ProxyEvent) => {
      if (event.type === 'close') records.push(event.record);
      for (const look of [...waiting]) look();
    };
    const limiter = createLimits(config.limits, { clock: systemClock, observe, stateDir: undefined });
    const shared = createSharedServices({
      clock: systemClock,
      observe,
      tap: undefined,
      lookup: undefined,
      secure: trusting(),
      limiter,
      listeners: () => [],
      stateDir: undefined,
      environment: {},
      trace: 'lookups',
    });
    const generation = await createGeneration(config, {}, shared);
    const services = other === undefined ? generation.services : { ...generation.services, limiter: other };
    let requests = 0;
    const context: Http1Context = {
      services: () => services,
      nextId: () => `r${++requests}`,
      draining: () => false,
      clock: systemClock,
      idle: shared.idle,
      sessions: new Sessions(),
      bodies: services.bodies,
      ended: new EndedClients(),
      headLimits: HEAD_LIMITS,
      requestHeadMs: 10_000,
      watchesFiles: () => false,
      keepAliveMs: 10_000,
    };
    const protocol = createProtocol(context);
    const listeners = new ListenerSet({
      observe,
      connectionsMax,
      epollSockets: undefined,
      context,
      protocolOf: () => protocol,
    });
    const { serve } = await listeners.prepare([
      { kind: 'tcp', protocol: scheme, host: '127.0.0.1', port: 0, optional: false },
    ]);
    serve();
    return new ListeningProxy({ listeners, context, records }, waiting, [generation, shared, limiter]);
  }

  get port(): number {
    const { first } = this.listeners;
    return first?.kind === 'tcp' ? first.port : 0;
  }

  get sessions(): ClientContext['sessions'] {
    return this.context.sessions;
  }

  /** Resolves once `isTrue` holds; it is checked at every event. */
  async when(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      await new Promise<void>((resolve) => {
        const look = () => {
          this.#waiting.delete(look);
          resolve();
        };
        this.#waiting.add(look);
      });
    }
  }

  /** The record of the nth request that ended, counted from 0, once it has. */
  async record(at = 0): Promise<ProxyRecord> {
    await this.when(() => this.records.length > at);
    const record = this.records[at];
    if (record === undefined) throw new Error('no record');
    return record;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const drained = this.listeners.drained();
    this.listeners.abort(new ProxyError('shutdown', 'the test is over'));
    await drained;
    for (const part of this.#parts) await part[Symbol.asyncDispose]();
  }
}

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { DrainReport } from '../contracts/drain-report.ts';
import type { NoticeLevel } from '../contracts/event.ts';
import type { LocalNonceCounter } from '../identity/nonce-counter.ts';
import type { IpcLimitsServer } from '../limits/shared/ipc-server.ts';
import type { WorkerSession } from '../limits/shared/worker-session.ts';
import type { RotateFile } from '../observe/rotate-file.ts';
import type { Clock } from '../util/clock.ts';
import type { LiveRequests, LiveSession } from './live-requests.ts';
import { answerRotation } from './log-rotation.ts';
import type { LoginServer, LoginSession } from './login-server.ts';
import { type FromWorker, isFromWorker, type SentError, type ToWorker, type WorkerRequest } from './messages.ts';

/** A worker that has not loaded or responded in this time hangs. A `close` may take as long as its drain. */
const RESPONSE_MS = 20_000;
/** How long the last messages of a process that has ended are waited for: they are in its channel already. */
const LAST_MESSAGES_MS = 1_000;

export interface WorkerHandleDeps {
  readonly child: ChildProcess;
  readonly limits: IpcLimitsServer;
  readonly logins: LoginServer;
  readonly nonces: LocalNonceCounter;
  readonly live: LiveRequests;
  readonly clock: Clock;
  readonly rotateLog: RotateFile;
  readonly notice: (level: NoticeLevel, message: string, id: string | undefined) => void;
}

/** What went wrong in a worker, as the worker reported it. */
export class WorkerError extends Error {
  override readonly name: string;
  readonly code: string | undefined;
  constructor({ name, message, code }: SentError) {
    super(message);
    this.name = name;
    this.code = code;
  }
}

/** One worker process, as the primary sees it. */
export class WorkerHandle {
  readonly pid: number;
  /** Resolves when the process has ended and its last messages are read, with its exit code or signal. */
  readonly gone: Promise<string>;
  readonly #deps: WorkerHandleDeps;
  readonly #limitsSession: WorkerSession;
  readonly #loginSession: LoginSession;
  readonly #liveSession: LiveSession;
  readonly #loaded: Promise<void>;
  readonly #pending = new Map<number, { responded(value: number): void; failed(error: Error): void }>();
  #lastRequest = 0;
  #isGone = false;
  #drained: DrainReport | undefined;

  constructor(deps: WorkerHandleDeps) {
    const { child, limits, logins, live } = deps;
    this.#deps = deps;
    this.pid = child.pid ?? 0;
    this.#limitsSession = limits.openSession((messages) => this.#send({ type: 'limits', messages }));
    this.#loginSession = logins.openSession((response) => this.#send({ type: 'login', response }));
    this.#liveSession = live.openSession((request) => this.#send({ type: 'live', request }));
    let loaded = () => {};
    this.#loaded = new Promise((resolve) => {
      loaded = resolve;
    });
    child.on('message', (message) => {
      if (isFromWorker(message)) this.#handle(message, loaded);
    });
    this.gone = this.#waitForExit();
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Resolves when the program is loaded; rejects when the process ends before. */
  loaded(): Promise<void> {
    return this.#withTimeout(Promise.race([this.#loaded, this.#rejectOnExit()]));
  }

  /** Rejects with a WorkerError when the worker reports a failure, and with an Error when the process has ended or hangs. */
  request(request: WorkerRequest): Promise<number> {
    if (this.#isGone) return Promise.reject(new Error(`worker ${this.pid} has ended`));
    const requestId = ++this.#lastRequest;
    const response = new Promise<number>((responded, failed) => this.#pending.set(requestId, { responded, failed }));
    this.#send({ requestId, ...request });
    return request.type === 'close' ? response : this.#withTimeout(response);
  }

  /** Resolves when the worker has closed. Rejects as `request` does. */
  async close(drainMs: number): Promise<DrainReport> {
    await this.request({ type: 'close', drainMs });
    return this.#drained ?? { finished: 0, aborted: 0, longestMs: 0 };
  }

  kill(): void {
    this.#deps.child.kill('SIGKILL');
  }

  #handle(message: FromWorker, loaded: () => void): void {
    switch (message.type) {
      case 'loaded':
        return loaded();
      case 'response':
        this.#drained = message.drained;
        this.#pending.get(message.requestId)?.responded(message.value);
        this.#pending.delete(message.requestId);
        return;
      case 'failed':
        this.#pending.get(message.requestId)?.failed(new WorkerError(message.error));
        this.#pending.delete(message.requestId);
        return;
      case 'notice':
        return this.#deps.notice(message.level, message.message, message.id);
      case 'limits':
        return this.#limitsSession.receive(message.messages);
      case 'login':
        return this.#loginSession.receive(message.request);
      case 'use-nonce': {
        const { n, use } = message.request;
        return this.#send({ type: 'nonce-used', response: { n, use: this.#deps.nonces.use(use) } });
      }
      case 'live':
        return this.#liveSession.receive(message.response);
      case 'fill-log':
        void answerRotation(message.request, this.#deps.rotateLog).then((result) =>
          this.#send({ type: 'rotated', result }),
        );
        return;
    }
  }

  #send(message: ToWorker): void {
    // The end of a process that just died is noticed by itself; the error of a closed channel would add nothing.
    if (!this.#isGone && this.#deps.child.connected) this.#deps.child.send(message, () => {});
  }

  async #waitForExit(): Promise<string> {
    const { child } = this.#deps;
    const lastRead = this.#lastMessagesRead();
    let how: string;
    try {
      const [code, signal]: unknown[] = await once(child, 'exit');
      how = signal === null ? `exit code ${code}` : String(signal);
      await lastRead;
    } catch (error) {
      how = error instanceof Error ? error.message : String(error);
    }
    this.#isGone = true;
    this.#limitsSession[Symbol.dispose]();
    this.#loginSession[Symbol.dispose]();
    this.#liveSession[Symbol.dispose]();
    for (const { failed } of this.#pending.values()) failed(new Error(`worker ${this.pid} ended: ${how}`));
    this.#pending.clear();
    return how;
  }

  /**
   * Node reports the end of every child that has ended when it hears of one, before it has read what the others have sent: the
   * response to `close` would be lost. `close` comes when the channel has ended as well.
   */
  #lastMessagesRead(): Promise<void> {
    const { child, clock } = this.#deps;
    return new Promise((resolve) => {
      child.once('exit', () => {
        const timer = clock.after(LAST_MESSAGES_MS, resolve);
        child.once('close', () => {
          timer[Symbol.dispose]();
          resolve();
        });
      });
    });
  }

  async #rejectOnExit(): Promise<never> {
    throw new Error(`a worker could not start: ${await this.gone}`);
  }

  async #withTimeout<T>(response: Promise<T>): Promise<T> {
    let timer: Disposable | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = this.#deps.clock.after(RESPONSE_MS, () => reject(new Error(`worker ${this.pid} does not respond`)));
    });
    try {
      return await Promise.race([response, late]);
    } finally {
      timer?.[Symbol.dispose]();
    }
  }
}

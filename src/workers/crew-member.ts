import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Clock } from '../core/clock.ts';
import type { Branch, LimitsOwner } from '../limits/owner.ts';
import type { LogonBranch, LogonDesk } from './logon-desk.ts';
import { type FromWorker, isFromWorker, type Request, type SentError, type ToWorker } from './messages.ts';

/** A worker that has not loaded or answered in this time hangs. A drain is waited for as long as it takes. */
const ANSWER_MS = 20_000;

export type Level = 'info' | 'warn' | 'error';

export interface MemberParts {
  readonly child: ChildProcess;
  readonly owner: LimitsOwner;
  readonly desk: LogonDesk;
  readonly clock: Clock;
  readonly notice: (level: Level, message: string) => void;
}

/** What went wrong in a worker, as it said itself. */
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
export class CrewMember {
  readonly pid: number;
  /** Settles when the process is gone, with what it died of. */
  readonly gone: Promise<string>;
  readonly #parts: MemberParts;
  readonly #branch: Branch;
  readonly #logons: LogonBranch;
  readonly #loaded: Promise<void>;
  readonly #asked = new Map<number, { answered(value: number): void; failed(error: Error): void }>();
  #asks = 0;
  #isGone = false;

  constructor(parts: MemberParts) {
    const { child, owner, desk } = parts;
    this.#parts = parts;
    this.pid = child.pid ?? 0;
    this.#branch = owner.branch((messages) => this.#send({ do: 'limits', messages }));
    this.#logons = desk.branch((answer) => this.#send({ do: 'logon', answer }));
    let loaded = () => {};
    this.#loaded = new Promise((resolve) => {
      loaded = resolve;
    });
    child.on('message', (message) => {
      if (isFromWorker(message)) this.#hear(message, loaded);
    });
    this.gone = this.#untilGone();
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Resolves when the program is loaded; rejects when the process ends instead. */
  loaded(): Promise<void> {
    return this.#inTime(Promise.race([this.#loaded, this.#lost()]));
  }

  /** Rejects with a WorkerError when it says no, and with an Error when it is gone or hangs. */
  ask(request: Request): Promise<number> {
    if (this.#isGone) return Promise.reject(new Error(`worker ${this.pid} is gone`));
    const ask = ++this.#asks;
    const answer = new Promise<number>((answered, failed) => this.#asked.set(ask, { answered, failed }));
    this.#send({ ask, ...request });
    return request.do === 'close' ? answer : this.#inTime(answer);
  }

  kill(): void {
    this.#parts.child.kill('SIGKILL');
  }

  #hear(message: FromWorker, loaded: () => void): void {
    switch (message.did) {
      case 'load':
        return loaded();
      case 'answer':
        this.#asked.get(message.ask)?.answered(message.value);
        this.#asked.delete(message.ask);
        return;
      case 'fail':
        this.#asked.get(message.ask)?.failed(new WorkerError(message.error));
        this.#asked.delete(message.ask);
        return;
      case 'notice':
        return this.#parts.notice(message.level, message.message);
      case 'limits':
        return this.#branch.hear(message.messages);
      case 'logon':
        return this.#logons.hear(message.asked);
    }
  }

  #send(message: ToWorker): void {
    // A process that just died tells by its end; the error of a closed channel would say the same.
    if (!this.#isGone && this.#parts.child.connected) this.#parts.child.send(message, () => {});
  }

  async #untilGone(): Promise<string> {
    const { child } = this.#parts;
    let how: string;
    try {
      const [code, signal]: unknown[] = await once(child, 'exit');
      how = signal === null ? `exit code ${code}` : String(signal);
    } catch (error) {
      how = error instanceof Error ? error.message : String(error);
    }
    this.#isGone = true;
    this.#branch[Symbol.dispose]();
    this.#logons[Symbol.dispose]();
    for (const { failed } of this.#asked.values()) failed(new Error(`worker ${this.pid} ended: ${how}`));
    this.#asked.clear();
    return how;
  }

  async #lost(): Promise<never> {
    throw new Error(`a worker could not start: ${await this.gone}`);
  }

  async #inTime<T>(answer: Promise<T>): Promise<T> {
    let timer: Disposable | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = this.#parts.clock.after(ANSWER_MS, () => reject(new Error(`worker ${this.pid} does not answer`)));
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      timer?.[Symbol.dispose]();
    }
  }
}

import type { FullFile, RotateFile } from '../observe/rotate-file.ts';
import type { Clock } from '../util/clock.ts';

/** A worker whose primary does not answer in this time goes on with the file that it has. */
const ANSWER_MS = 2_000;

export type RotationRequest = FullFile & { readonly n: number };
/** `failure`: why the file could not be moved. */
export interface RotationResult {
  readonly n: number;
  readonly failure?: string;
}

/** In a worker: the log file is moved by the primary alone. */
export class LogRotationClient {
  readonly #clock: Clock;
  readonly #send: (request: RotationRequest) => void;
  readonly #pending = new Map<number, (result: RotationResult) => void>();
  #last = 0;

  constructor(clock: Clock, send: (request: RotationRequest) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  readonly rotate: RotateFile = async (full) => {
    const n = ++this.#last;
    const { promise, resolve } = Promise.withResolvers<RotationResult>();
    this.#pending.set(n, resolve);
    using _timer = this.#clock.after(ANSWER_MS, () => resolve({ n, failure: 'the primary process does not respond' }));
    this.#send({ n, ...full });
    const { failure } = await promise;
    this.#pending.delete(n);
    if (failure !== undefined) throw new Error(failure);
  };

  receive(result: RotationResult): void {
    this.#pending.get(result.n)?.(result);
  }
}

/** In the primary: moves the file for one of its workers. */
export async function answerRotation({ n, ...full }: RotationRequest, rotate: RotateFile): Promise<RotationResult> {
  try {
    await rotate(full);
    return { n };
  } catch (error) {
    return { n, failure: error instanceof Error ? error.message : String(error) };
  }
}

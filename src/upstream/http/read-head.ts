import { type FailureCode, ProxyError } from '../../contracts/failure.ts';
import type { Receiver, Wire } from '../../contracts/wire.ts';
import { fault } from '../../protocol/http1/fault.ts';
import { HeadBuffer, type HeadLimits } from '../../protocol/http1/head-buffer.ts';
import { tokensOf } from '../../protocol/http1/header-list.ts';
import {
  parseResponseHead,
  parseStatusLine,
  type ResponseHeadText,
  withClose,
} from '../../protocol/http1/response-head.ts';
import { nodeFailure } from '../node-failure.ts';
import type { ResponseTimer } from '../response-timer.ts';

/** The failure codes for what can be wrong with a response, by its sender. */
export interface HeadFaults {
  readonly malformed: FailureCode;
  readonly tooLarge: FailureCode;
  /** A first line that does not end: the peer writes it, also where another server wrote the fields behind it. */
  readonly lineTooLong: FailureCode;
  /** The peer closed without a byte of a response: a pooled connection may just have been closed in time. */
  readonly closed: FailureCode;
}
export const ORIGIN_FAULTS: HeadFaults = {
  malformed: 'origin_protocol',
  tooLarge: 'origin_head_too_large',
  lineTooLong: 'origin_head_too_large',
  closed: 'reset_before_head',
};
export const PROXY_FAULTS: HeadFaults = {
  malformed: 'upstream_protocol',
  tooLarge: 'upstream_protocol',
  lineTooLong: 'upstream_protocol',
  closed: 'upstream_closed',
};

const FAULT_OF = {
  'bare-lf': ['malformed', 'a line of the head ends in a bare LF'],
  'head-too-large': ['tooLarge', 'the head is too large'],
  'start-line-too-long': ['lineTooLong', 'the status line is too long'],
} as const;

/** Wires on which an interim response announced, or was made to announce, that the final response is the last one. */
const LAST_RESPONSES = new WeakSet<Wire>();

export interface ReceivedHead {
  readonly head: ResponseHeadText;
  readonly text: string;
  /** What came behind the head: the beginning of the body, or of the tunnel. */
  readonly rest: Buffer;
}

/** Reads one response head, beginning with what is already there. The wire is free again when the promise settles. */
export function readHead(
  wire: Wire,
  early: Buffer,
  limits: HeadLimits,
  faults: HeadFaults,
  timer: ResponseTimer,
): Promise<ReceivedHead> {
  return new Promise((resolve, reject) => {
    new HeadReading(wire, limits, faults, timer, resolve, reject).start(early);
  });
}

/** One object, and not a closure for each thing that may happen: every request waits for one. */
class HeadReading implements Receiver {
  readonly #wire: Wire;
  readonly #limits: HeadLimits;
  readonly #faults: HeadFaults;
  readonly #timer: ResponseTimer;
  readonly #resolve: (head: ReceivedHead) => void;
  readonly #reject: (error: unknown) => void;
  readonly #buffer: HeadBuffer;

  constructor(
    wire: Wire,
    limits: HeadLimits,
    faults: HeadFaults,
    timer: ResponseTimer,
    resolve: (head: ReceivedHead) => void,
    reject: (error: unknown) => void,
  ) {
    this.#wire = wire;
    this.#limits = limits;
    this.#faults = faults;
    this.#timer = timer;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#buffer = new HeadBuffer(limits, 'lf-too');
  }

  start(early: Buffer): void {
    this.#wire.deliverTo(this);
    this.#timer.onTimeout(this.#refuse);
    if (early.length > 0) this.bytes(early);
  }

  bytes(chunk: Buffer): void {
    const faults = this.#faults;
    const progress = this.#buffer.add(chunk);
    if (progress.at === 'refused') {
      const [kind, detail] = FAULT_OF[progress.why];
      return this.#refuse(fault(faults[kind], detail));
    }
    try {
      if (progress.at === 'more') {
        if (progress.startLine !== undefined) parseStatusLine(progress.startLine, faults.malformed);
        return;
      }
      const { head: text, rest } = progress;
      const parsed = parseResponseHead(text, this.#limits.fieldsMax, faults.malformed, faults.tooLarge);
      const head = closingLikeInterim(parsed, this.#wire);
      this.#release();
      this.#resolve({ head, text, rest });
    } catch (error) {
      this.#refuse(nodeFailure(error, 'reading a response head'));
    }
  }

  end(): void {
    this.failed(undefined);
  }

  failed(cause: Error | undefined): void {
    const { closed, malformed } = this.#faults;
    this.#refuse(
      this.#buffer.length === 0
        ? new ProxyError(closed, 'closed before a response', { cause })
        : fault(malformed, 'the connection ended inside the head of the response', cause),
    );
  }

  readonly #refuse = (error: unknown): void => {
    this.#release();
    this.#reject(error);
  };

  #release(): void {
    this.#wire.deliverTo(undefined);
    this.#timer.onTimeout(undefined);
  }
}

/** A repaired response ends its connection, and an interim one is only the beginning of a response. */
function closingLikeInterim(head: ResponseHeadText, wire: Wire): ResponseHeadText {
  if (head.status >= 200) return LAST_RESPONSES.has(wire) ? { ...head, headers: withClose(head.headers) } : head;
  if (tokensOf(head.headers, 'connection').includes('close')) LAST_RESPONSES.add(wire);
  return head;
}

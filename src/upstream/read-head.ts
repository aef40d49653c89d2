import { type FailureCode, ProxyError } from '../core/failure.ts';
import type { Receiver, Wire } from '../core/source.ts';
import { HeadBuffer, type HeadLimits } from '../protocol/head-buffer.ts';
import { parseResponseHead, parseStatusLine, type ResponseHead } from '../protocol/response-head.ts';
import { nodeFailure } from './node-failure.ts';
import type { Patience } from './patience.ts';

/** Whose answer is read, and what its faults are called. */
export interface HeadFaults {
  readonly malformed: FailureCode;
  readonly tooLarge: FailureCode;
  /** A first line that does not end: whoever speaks to us writes it, whoever wrote the fields behind it. */
  readonly lineTooLong: FailureCode;
  /** The peer closed without a byte of an answer: a pooled connection may just have been closed in time. */
  readonly closed: FailureCode;
}
export const ORIGIN_FAULTS: HeadFaults = {
  malformed: 'origin_protocol',
  tooLarge: 'origin_head_too_large',
  lineTooLong: 'origin_head_too_large',
  closed: 'reset_before_head',
};
export const PARENT_FAULTS: HeadFaults = {
  malformed: 'parent_protocol',
  tooLarge: 'parent_protocol',
  lineTooLong: 'parent_protocol',
  closed: 'parent_closed',
};

const FAULT_OF = {
  'bare-lf': 'malformed',
  'head-too-large': 'tooLarge',
  'start-line-too-long': 'lineTooLong',
} as const;

export interface ReadHead {
  readonly head: ResponseHead;
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
  patience: Patience,
): Promise<ReadHead> {
  return new Promise((resolve, reject) => {
    const buffer = new HeadBuffer(limits);
    const finish = (settle: () => void) => {
      wire.deliverTo(undefined);
      patience.hear(undefined);
      settle();
    };
    const refuse = (error: unknown) => finish(() => reject(error));
    const add = (chunk: Buffer) => {
      const progress = buffer.add(chunk);
      if (progress.at === 'refused') {
        return refuse(new ProxyError(faults[FAULT_OF[progress.why]], `response head: ${progress.why}`));
      }
      try {
        if (progress.at === 'more') {
          if (progress.startLine !== undefined) parseStatusLine(progress.startLine, faults.malformed);
          return;
        }
        const { head: text, rest } = progress;
        const head = parseResponseHead(text, limits.fieldsMax, faults.malformed, faults.tooLarge);
        finish(() => resolve({ head, text, rest }));
      } catch (error) {
        refuse(nodeFailure(error, 'reading a response head'));
      }
    };
    const broken = (cause?: Error) =>
      refuse(
        buffer.length === 0
          ? new ProxyError(faults.closed, 'closed before an answer', { cause })
          : new ProxyError(faults.malformed, 'closed inside the response head', { cause }),
      );
    const receiver: Receiver = { bytes: add, end: () => broken(), failed: broken };

    wire.deliverTo(receiver);
    patience.hear(refuse);
    if (early.length > 0) add(early);
  });
}

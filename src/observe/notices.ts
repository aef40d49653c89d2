import type { Clock } from '../core/clock.ts';
import type { Exporter } from '../core/contracts.ts';
import { printable } from './escape.ts';
import { type OutputStream, outputOutlet } from './outlet.ts';
import { sink } from './sink.ts';

type Level = 'info' | 'warn' | 'error';

export interface NoticesParts {
  readonly stderr: OutputStream;
  readonly clock: Clock;
  /** The least that is worth a line: `warn` for `--quiet`. Default `info`. */
  readonly from?: Level;
}

const RANK = { info: 0, warn: 1, error: 2 } as const satisfies Record<Level, number>;
/** Notices are few; whoever does not read this many will not read more. */
const NOTICE_BYTES_MAX = 64 * 1024;

/** What the operator should know, one line each: `viaduct: …`. A standard error that nobody reads loses lines. */
export function notices({ stderr, clock, from = 'info' }: NoticesParts): Exporter {
  const out = sink({
    name: 'notices',
    outlet: outputOutlet(stderr),
    clock,
    observe: () => {},
    dropped: (lines) => `viaduct: ${lines} notices are missing here: nobody read them in time`,
    bytesMax: NOTICE_BYTES_MAX,
  });
  return {
    name: 'notices',
    observe(event) {
      if (event.type === 'notice' && RANK[event.level] >= RANK[from]) out.write(`viaduct: ${printable(event.message)}`);
    },
    [Symbol.asyncDispose]: () => out[Symbol.asyncDispose](),
  };
}

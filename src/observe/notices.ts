import { type Exporter, type NoticeLevel, type ProxyEvent, subjectOfNotice } from '../contracts/event.ts';
import type { Clock } from '../util/clock.ts';
import { printable } from './escape.ts';
import { type OutputStream, outputOutlet } from './outlet.ts';
import { RepeatCounter } from './repeat-counter.ts';
import { sink } from './sink.ts';

export interface NoticesOptions {
  readonly stderr: OutputStream;
  readonly clock: Clock;
  /** The lowest level that is printed, `error` with `--quiet`; called for each notice, since a reload may change it. */
  readonly from: () => NoticeLevel;
}

const RANK = { debug: 0, info: 1, warn: 2, error: 3 } as const satisfies Record<NoticeLevel, number>;
/** Notices are few; a reader that is this far behind does not catch up. */
const NOTICE_BYTES_MAX = 64 * 1024;
/** At the level `debug` every request has several lines. */
const DEBUG_BYTES_MAX = 1024 * 1024;

export const isPrinted = (level: NoticeLevel, from: NoticeLevel): boolean => RANK[level] >= RANK[from];

/**
 * The diagnostic log: what the operator should know, one line each. `viaduct: …`, and with `log.level: debug` also the time
 * and the level. A standard error without a reader loses lines.
 */
export function notices({ stderr, clock, from }: NoticesOptions): Exporter {
  const out = sink({
    name: 'notices',
    outlet: outputOutlet(stderr),
    clock,
    observe: () => {},
    dropped: (lines) => `viaduct: ${lines} notices are missing here: standard error was read too slowly`,
    bytesMax: from() === 'debug' ? DEBUG_BYTES_MAX : NOTICE_BYTES_MAX,
  });
  const print = (level: NoticeLevel, message: string): void => {
    const detail = from() === 'debug' ? `${new Date(clock.wallMs()).toISOString()} ${level.padEnd(5)} ` : '';
    out.write(`viaduct: ${detail}${printable(message)}`);
  };
  const repeats = new RepeatCounter(clock, print);
  return {
    name: 'notices',
    only: ['notice'],
    observe(event: ProxyEvent) {
      if (event.type !== 'notice' || !isPrinted(event.level, from())) return;
      // Steps of requests: each belongs to its own request.
      if (event.level === 'debug') print(event.level, event.message);
      else repeats.report(event.level, event.message, subjectOfNotice(event));
    },
    async [Symbol.asyncDispose]() {
      repeats[Symbol.dispose]();
      await out[Symbol.asyncDispose]();
    },
  };
}

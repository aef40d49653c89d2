import type { Observe } from '../contracts/event.ts';
import type { Clock } from '../util/clock.ts';
import { LineQueue } from './line-queue.ts';
import type { Outlet, WriteResult } from './outlet.ts';

/** Lines on their way out. Writing never waits and never throws. */
export interface Sink extends AsyncDisposable {
  /** One line without its line end, in ASCII where it quotes a client. */
  write(line: string): void;
  /** Opens the file anew, after a rotation has moved it. */
  reopen(): void;
}

export interface SinkOptions {
  /** Its name in notices: `access log`. */
  readonly name: string;
  readonly outlet: Outlet;
  readonly clock: Clock;
  /** Receives notices about lost lines. */
  readonly observe: Observe;
  /** The line that stands where `lines` lines are missing. */
  readonly dropped: (lines: number) => string;
  /** Bytes that may wait, default 1 MiB; one line that is not ASCII may pass it. */
  readonly bytesMax?: number;
}

/** A reader that stops for a second at 5,000 requests a second loses nothing; one that has died costs this much. */
export const SINK_BYTES_MAX: number = 1024 * 1024;
/** A stopped terminal is tried again this often: no event reports that it goes on. */
const STALLED_RETRY_MS = 20;
/** A full disk is tried again this often. */
const FAILED_RETRY_MS = 1000;
/** Lines are gathered this long, or until there is a chunk of them: a system call for each costs more than the line. */
const GATHER_MS = 50;
/** At most one notice of a kind in this time: many lines are lost at once, and notices must not flood too. */
const NOTICE_MS = 10_000;
/** How long the end of the process waits for a reader that does not read. */
const FLUSH_MS = 1000;

/** A bounded queue before an outlet. When it is full, lines are dropped and counted, and the gap is written down later. */
export function sink({ name, outlet, clock, observe, dropped, bytesMax = SINK_BYTES_MAX }: SinkOptions): Sink {
  const lines = new LineQueue(outlet.chunkBytesMax);
  /** Taken out of `lines`, not yet written in full. */
  let chunk: Buffer | undefined;
  /** Bytes in `chunk` and in `lines`. */
  let waiting = 0;
  /** Lines that were dropped, and that no line in the log reports yet. */
  let lost = 0;
  let state: 'open' | 'closing' | 'closed' = 'open';
  let at: 'rest' | 'scheduled' | 'busy' = 'rest';
  let reopening = false;
  let retry: Disposable | undefined;
  let gathering: Disposable | undefined;
  let onEmpty: (() => void) | undefined;
  const notice = limitedNotices(clock, observe);
  /** Bytes that are worth a write at once. */
  const enough = Math.min(outlet.chunkBytesMax, bytesMax / 2);

  const take = (line: string) => {
    waiting += lines.add(line);
  };

  const next = () => {
    gathering?.[Symbol.dispose]();
    at = 'rest';
    if (state === 'closed') return;
    if (reopening) {
      at = 'busy';
      reopening = false;
      return outlet.reopen(reopened);
    }
    chunk ??= lines.take();
    if (chunk === undefined) return onEmpty?.();
    at = 'busy';
    outlet.write(chunk, written);
  };

  const reopened = (error: Error | undefined) => {
    if (error) notice('reopen', `${name}: the new file cannot be opened, the old one goes on: ${error.message}`);
    next();
  };

  const written = (result: WriteResult) => {
    if (state === 'closed' || chunk === undefined) return;
    if (result.at === 'fatal') {
      notice('gone', `${name}: its reader has closed it, no more lines are written: ${result.error.message}`);
      return finish();
    }
    if (result.at === 'again') {
      const stalled = result.error.code === 'EAGAIN';
      if (!stalled) notice('write', `${name}: cannot be written, lines wait: ${result.error.message}`);
      retry = clock.after(stalled ? STALLED_RETRY_MS : FAILED_RETRY_MS, () => {
        retry = undefined;
        next();
      });
      return;
    }
    waiting -= result.bytes;
    // Only from half empty on, so that a queue that is just about full does not alternate between lines and gaps.
    if (lost > 0 && waiting <= bytesMax / 2) writeLost();
    chunk = result.bytes < chunk.length ? chunk.subarray(result.bytes) : undefined;
    if (chunk === undefined) lines.written();
    at = 'rest';
    if (chunk !== undefined || reopening || state === 'closing' || waiting >= enough) next();
    else if (waiting > 0) gather();
  };

  /** Many requests that end close together are one system call. */
  const gather = () => {
    at = 'scheduled';
    gathering = clock.after(GATHER_MS, next);
  };

  const writeLost = () => {
    take(dropped(lost));
    lost = 0;
  };

  const finish = () => {
    if (state === 'closed') return;
    state = 'closed';
    retry?.[Symbol.dispose]();
    lines.clear();
    outlet.close();
    onEmpty?.();
  };

  return {
    write(line) {
      if (state !== 'open') return;
      // Until the gap has been written down, what comes next is part of it: lines stay in order.
      if (lost > 0 || waiting + line.length + 1 > bytesMax) {
        lost += 1;
        notice('lost', `${name}: too slow, lines are being dropped`);
        return;
      }
      take(line);
      if (at === 'rest') gather();
      else if (at === 'scheduled' && waiting >= enough) next();
    },
    reopen() {
      reopening = true;
      if (retry !== undefined || at !== 'busy') {
        retry?.[Symbol.dispose]();
        retry = undefined;
        next();
      }
    },
    async [Symbol.asyncDispose]() {
      if (state !== 'open') return;
      state = 'closing';
      if (lost > 0) writeLost();
      if (waiting > 0) {
        // The clock's timers do not keep the process alive, and a flush that nothing keeps alive never ends.
        const alive = setInterval(() => {}, FLUSH_MS);
        await new Promise<void>((resolve) => {
          onEmpty = resolve;
          clock.after(FLUSH_MS, resolve);
          if (at !== 'busy') next();
        });
        clearInterval(alive);
      }
      finish();
    },
  };
}

function limitedNotices(clock: Clock, observe: Observe): (kind: string, message: string) => void {
  const lastMs = new Map<string, number>();
  return (kind, message) => {
    const last = lastMs.get(kind);
    const now = clock.now();
    if (last !== undefined && now - last < NOTICE_MS) return;
    lastMs.set(kind, now);
    observe({ type: 'notice', level: 'warn', message });
  };
}

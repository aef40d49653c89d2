import type { Clock } from '../core/clock.ts';
import type { Exporter, Observe } from '../core/contracts.ts';
import type { ProxyRecord } from '../core/record.ts';
import { commonDropped, commonRecord, squidRecord } from './format-common.ts';
import { jsonDropped, jsonRecord } from './format-json.ts';
import { colourful, type Paint, plain, prettyDropped, prettyRecord } from './format-pretty.ts';
import type { LogFormat, LogOptions } from './options.ts';
import { fileOutlet, type OutputStream, outputOutlet } from './outlet.ts';
import { sink } from './sink.ts';

export interface AccessLogParts {
  readonly stdout: OutputStream;
  readonly clock: Clock;
  /** Hears that lines were lost or that the file cannot be written. */
  readonly observe: Observe;
  /** The environment, for NO_COLOR. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface AccessLog extends Exporter {
  /** After a log rotation (SIGHUP): goes on in a new file of the same name. */
  reopen(): void;
}

/**
 * One line for each request that has ended. A reader that is slow or gone costs lines, never traffic.
 * `undefined` for `off`. Throws ProxyError `internal` when the file cannot be opened.
 */
export function accessLog(
  { format, file }: LogOptions,
  { stdout, clock, observe, env }: AccessLogParts,
): AccessLog | undefined {
  if (format === 'off') return undefined;
  const paint = file === undefined && wantsColours(stdout, env) ? colourful : plain;
  const { line, dropped } = formatter(format, paint, clock);
  const out = sink({
    name: 'access log',
    outlet: file === undefined ? outputOutlet(stdout) : fileOutlet(file),
    clock,
    observe,
    dropped,
  });
  return {
    name: 'access log',
    observe(event) {
      if (event.type === 'closed') out.write(line(event.record));
    },
    reopen: () => out.reopen(),
    [Symbol.asyncDispose]: () => out[Symbol.asyncDispose](),
  };
}

interface Formatter {
  line(record: ProxyRecord): string;
  /** Stands where `lines` lines are missing. */
  dropped(lines: number): string;
}

function formatter(format: Exclude<LogFormat, 'off'>, paint: Paint, clock: Clock): Formatter {
  switch (format) {
    case 'pretty':
      return { line: (record) => prettyRecord(record, paint), dropped: (lines) => prettyDropped(lines, paint) };
    case 'json':
      return { line: jsonRecord, dropped: (lines) => jsonDropped(lines, new Date(clock.wallMs())) };
    case 'clf':
      return { line: commonRecord, dropped: commonDropped };
    case 'squid':
      return { line: squidRecord, dropped: commonDropped };
  }
}

/** Colours for a person at a terminal who has not said no (https://no-color.org: set and not empty means no). */
export const wantsColours = (
  output: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): boolean => output.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';

import type { Exporter, Observe } from '../contracts/event.ts';
import type { ProxyRecord } from '../contracts/record.ts';
import type { Clock } from '../util/clock.ts';
import { redact } from '../util/redact.ts';
import { originOf } from './escape.ts';
import { commonDropped, commonRecord, squidRecord } from './format-common.ts';
import { jsonDropped, jsonRecord } from './format-json.ts';
import { colourful, type Paint, plain, prettyDropped, prettyRecord } from './format-pretty.ts';
import type { LogFormat, LogOptions } from './options.ts';
import { fileOutlet, type OutputStream, outputOutlet } from './outlet.ts';
import { oneAtATime, type RotateFile, rotateFile } from './rotate-file.ts';
import { Rotation } from './rotation.ts';
import { sink } from './sink.ts';

export interface AccessLogDeps {
  /** Read only when lines go there: Node opens a handle for it then. */
  readonly stdout: OutputStream;
  readonly clock: Clock;
  /** Receives a notice when lines were lost or the file cannot be written. */
  readonly observe: Observe;
  /** The environment, for NO_COLOR. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Moves a full file away. Default: this process does; of several that write the same file, one must. */
  readonly rotate?: RotateFile | undefined;
}

/** What concerns the access log; the level is that of the diagnostic log. */
export type AccessLogOptions = Pick<LogOptions, 'format' | 'file' | 'maxBytes' | 'keep' | 'url'>;

export interface AccessLog extends Exporter {
  /** After a log rotation (SIGUSR2, SIGHUP): goes on in a new file of the same name. */
  reopen(): void;
}

/**
 * One line for each request that has ended. A reader that is slow or gone costs lines, never traffic.
 * `undefined` for `off`. Throws LogFileError when the file cannot be opened.
 */
export function accessLog(options: AccessLogOptions, deps: AccessLogDeps): AccessLog | undefined {
  const { format, file, url } = options;
  if (format === 'off') return undefined;
  const { clock, observe, env } = deps;
  const paint = file === undefined && wantsColours(deps.stdout, env) ? colourful : plain;
  const { line, dropped } = formatter(format, paint, clock);
  const out = sink({
    name: 'access log',
    outlet: file === undefined ? outputOutlet(deps.stdout) : fileOutlet(file, rotationOf(file, options, deps)),
    clock,
    observe,
    dropped,
  });
  return {
    name: 'access log',
    only: ['close'],
    observe(event) {
      if (event.type === 'close') out.write(line(url === 'origin' ? withoutPath(event.record) : event.record));
    },
    reopen: () => out.reopen(),
    [Symbol.asyncDispose]: () => out[Symbol.asyncDispose](),
  };
}

function rotationOf(
  path: string,
  { maxBytes, keep }: AccessLogOptions,
  { clock, observe, rotate = oneAtATime(rotateFile) }: AccessLogDeps,
): Rotation | undefined {
  if (maxBytes === undefined) return undefined;
  const onFailure = (why: string): void => {
    const message = `access log: ${redact(path)} cannot be rotated, it goes on growing: ${why}`;
    observe({ type: 'notice', level: 'warn', message });
  };
  return new Rotation({ path, maxBytes, keep, rotate, clock, onFailure });
}

/** For `log.url: origin`: whom a client asks for, and not what. */
function withoutPath(record: ProxyRecord): ProxyRecord {
  const { url, detail } = record;
  if (url === undefined) return record;
  const origin = originOf(url);
  // What a PAC throws may repeat the URL.
  return { ...record, url: origin, detail: detail?.replaceAll(url, origin) };
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

/** Colours at a terminal, unless NO_COLOR is set and not empty (https://no-color.org). */
export const wantsColours = (
  output: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): boolean => output.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';

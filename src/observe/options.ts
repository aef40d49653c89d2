import * as z from 'zod';
import { parseBytes } from '../settings/units.ts';

export const LOG_FORMATS = ['pretty', 'json', 'clf', 'squid', 'off'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Levels of the diagnostic log, the gravest first. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** How much of a URL the access log holds: never a query; `origin` leaves out the path as well. */
const LOG_URLS = ['full', 'origin'] as const;
export type LogUrl = (typeof LOG_URLS)[number];

export interface LogOptions {
  readonly format: LogFormat;
  /** Absent: standard output. */
  readonly file?: string | undefined;
  /** The file is rotated before it grows larger. Absent: never. */
  readonly maxBytes?: number | undefined;
  /** Rotated files that stay. */
  readonly keep: number;
  readonly level: LogLevel;
  readonly url: LogUrl;
}
export interface LogInput {
  readonly format?: LogFormat | undefined;
  readonly file?: string | undefined;
  readonly maxBytes?: number | string | undefined;
  readonly keep?: number | undefined;
  readonly level?: LogLevel | undefined;
  readonly url?: LogUrl | undefined;
}

/** Each is a file that is renamed at every rotation. */
const KEEP_MAX = 1000;

const size = z.union([z.number(), z.string()]).transform((value, context) => {
  try {
    const bytes = parseBytes(value);
    if (bytes >= 1) return bytes;
    context.addIssue({ code: 'custom', message: 'must be at least one byte; leave it out for a file that only grows' });
  } catch (error) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
  }
  return z.NEVER;
});

export const logSchema: z.ZodType<LogOptions, LogInput> = z.strictObject({
  format: z
    .enum(LOG_FORMATS)
    .prefault('off')
    .describe(
      'Form of the access log: `pretty`, `json`, `clf`, `squid` or `off`. The command line chooses `pretty` on a terminal, else `json`; the library `off`.',
    ),
  file: z
    .string()
    .min(1, 'write a path')
    .optional()
    .describe('The access log is appended to this file instead of standard output.'),
  maxBytes: size
    .optional()
    .describe(
      'Before the file grows larger than this (`100MiB`), it becomes `FILE.1` and a new one is begun; with several workers one process does that. Default: it only grows.',
    ),
  keep: z
    .int()
    .min(1)
    .max(KEEP_MAX)
    .prefault(5)
    .describe('How many rotated files stay, `FILE.1` being the latest. Default 5.'),
  level: z
    .enum(LOG_LEVELS)
    .prefault('info')
    .describe(
      'Messages of the diagnostic log, on standard error, from this level on: `error`, `warn`, `info` or `debug`, which has a line for each step of each request.',
    ),
  url: z
    .enum(LOG_URLS)
    .prefault('full')
    .describe('`origin` leaves the paths of URLs out of every form of the access log. Queries are never logged.'),
});

import { z } from 'zod';

export const LOG_FORMATS: readonly ['pretty', 'json', 'clf', 'squid', 'off'] = [
  'pretty',
  'json',
  'clf',
  'squid',
  'off',
];
export type LogFormat = (typeof LOG_FORMATS)[number];

export interface LogOptions {
  readonly format: LogFormat;
  /** Absent: standard output. */
  readonly file?: string | undefined;
}
export interface LogInput {
  readonly format?: LogFormat | undefined;
  readonly file?: string | undefined;
}

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
});

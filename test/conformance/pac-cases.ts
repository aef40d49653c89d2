import { readFileSync } from 'node:fs';
import * as z from 'zod';

/** Cases of browsers' own tests and of other projects; `about` in pac.json says what the fields mean. */
const base = {
  id: z.string(),
  group: z.string(),
  kind: z.enum(['asserted', 'executed']),
  source: z.string(),
  note: z.string().optional(),
  name: z.string().optional(),
  /** Another browser gives something else, or another project does. */
  browsers_disagree: z.string().optional(),
  mozilla_executed: z.unknown().optional(),
  mozilla_read: z.unknown().optional(),
  /** A rule of one browser: other programs decide on their own. */
  optional: z.boolean().optional(),
  security: z.boolean().optional(),
  effective: z.string().optional(),
};

const schema = z.strictObject({
  ...base,
  expr: z.string().optional(),
  pac: z.string().optional(),
  pacHex: z.string().optional(),
  url: z.string().optional(),
  host: z.string().optional(),
  input: z.unknown().optional(),
  list: z.string().optional(),
  contentType: z.string().optional(),
  now: z.string().optional(),
  tz: z.string().optional(),
  dns: z.record(z.string(), z.array(z.string())).optional(),
  dnsAll: z.array(z.string()).optional(),
  myIp: z.string().nullable().optional(),
  myIpEx: z.array(z.string()).optional(),
  expected: z.unknown().optional(),
  error: z.union([z.string(), z.boolean()]).optional(),
  errorLine: z.number().optional(),
  phase: z.literal('load').optional(),
  expectedAlerts: z.array(z.string()).optional(),
  expectedDnsQueries: z.array(z.string()).optional(),
  calls: z.number().optional(),
  expectedSequence: z.array(z.string()).optional(),
  afterReload: z.array(z.string()).optional(),
  bad: z.unknown().optional(),
  failedFirst: z.boolean().optional(),
  expectedRetryMap: z.unknown().optional(),
});

export type PacCase = z.infer<typeof schema>;

export function readPacCases(): readonly PacCase[] {
  const text = readFileSync(new URL('pac.json', import.meta.url), 'utf8');
  return z.object({ cases: z.array(schema) }).parse(JSON.parse(text)).cases;
}

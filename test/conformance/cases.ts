import { readFileSync } from 'node:fs';
import * as z from 'zod';

/**
 * Raw bytes for a proxy, and what must come of them. `send` and its like are latin1: one character is one octet.
 * Regular expressions have the flags i and m, and look at what the origin or the client was sent, as latin1.
 */
const patterns = z.array(z.string()).optional();

const seenByOrigin = z.strictObject({ originMustSee: patterns, originMustNotSee: patterns });

const expectation = seenByOrigin.extend({
  /** Statuses of the first final response; 0 is a connection that closed without one. */
  statusOneOf: z.array(z.number()),
  /** true: the proxy closes the connection within 2 s; false: it does not; null: either. */
  connectionClosed: z.boolean().nullable(),
  /** true: the origin got no byte; false: it got some; null: either. */
  notForwarded: z.boolean().nullable(),
  originHeadMustNotSee: patterns,
  originMaxRequests: z.number().optional(),
  originMaxConcurrent: z.number().optional(),
  originBody: z.string().optional(),
  originBodyNotComplete: z.boolean().optional(),
  /** Text in the response, in any case of letters. */
  responseMustContain: z.array(z.string()).optional(),
  responseMustNotContain: z.array(z.string()).optional(),
  responseHeadMustNotContain: z.array(z.string()).optional(),
  responseMustNotMatch: patterns,
  responseMustMatch: patterns,
  statusSequence: z.array(z.number()).optional(),
  ifStatus200: seenByOrigin.optional(),
  logMustNotMatch: patterns,
});

const schema = z.strictObject({
  id: z.string(),
  class: z.string(),
  level: z.enum(['MUST', 'SHOULD', 'POLICY']),
  profile: z.enum(['base', 'auth', 'deny', 'limits', 'wildcard']),
  description: z.string(),
  reference: z.string(),
  /** `{ORIGIN_HOST}`, `{ORIGIN_PORT}`, `{PROXY_PORT}` … are filled in first, then `{REPEAT:n:text}`. */
  send: z.string(),
  /** Sent after the first response, or after the 200 of a CONNECT. */
  thenSend: z.string().optional(),
  /** Shuts the sending side down after `send`. */
  halfCloseAfterSend: z.boolean().optional(),
  /** How long the first response may take. */
  waitMs: z.number().optional(),
  /** What the origin answers to its first request; without it a plain 200. */
  originReply: z.string().optional(),
  /** The origin closes behind `originReply`. */
  originClose: z.boolean().optional(),
  /** The origin answers a request as soon as its head is there. */
  originEarly: z.boolean().optional(),
  expect: expectation,
});

export type Case = z.infer<typeof schema>;
export type Profile = Case['profile'];

export function readCases(file: string): readonly Case[] {
  const text = readFileSync(new URL(file, import.meta.url), 'utf8');
  return z.array(schema).parse(JSON.parse(text));
}

/** Ports and addresses that a case speaks of by name. */
export type Names = Readonly<Record<string, string>>;

export function fillIn(text: string, names: Names): string {
  const named = text.replaceAll(/\{([A-Z_]+[A-Z0-9_]*)\}/g, (whole, name: string) => names[name] ?? whole);
  return named.replaceAll(/\{REPEAT:(\d+):([^}]*)\}/g, (_whole, times: string, what: string) =>
    what.repeat(Number(times)),
  );
}

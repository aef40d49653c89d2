import type { RequestContext } from './context.ts';
import type { ResponseInput } from './own-response.ts';

/** A response that a program makes itself. */
export interface HookResponse extends ResponseInput {
  /** Text goes as UTF-8. A stream is read no faster than the client takes it. */
  readonly body?: string | Uint8Array | AsyncIterable<string | Uint8Array> | null | undefined;
}
export type RespondResult = HookResponse | Response | null | undefined;

/**
 * Answers a plain request in the place of its origin. `undefined` or `null`: the request goes on. Called behind `limit`, so
 * that access rules and limits hold for it too. When it throws, the client gets 500 `hook_failed`.
 */
export type RespondHook = (context: RequestContext) => RespondResult | Promise<RespondResult>;

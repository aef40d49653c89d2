import { hookFailure } from '../../contracts/hook-failure.ts';
import { addressesIn, addressIn, type LookupHookResult } from '../../contracts/lookup-answer.ts';
import { codeOf } from '../node-failure.ts';
import type { Lookup } from './resolver.ts';

/** What `dns.lookup` is called with here. */
export interface LookupHookOptions {
  readonly all: true;
  readonly order: 'verbatim';
}

/**
 * Resolves a name: by a callback, as `dns.lookup` does, or by what it returns, as `dns.promises.lookup` does. An error
 * with a code of `node:dns`, as ENOTFOUND, is the result of the lookup; after any other throw the client gets 500
 * `hook_failed`, and after a `ProxyError` the response to its code.
 */
export type LookupHook = (
  host: string,
  options: LookupHookOptions,
  callback: LookupCallback,
  // biome-ignore lint/suspicious/noConfusingVoidType: one that calls back may return anything, as `dns.lookup` does.
) => LookupHookResult | Promise<LookupHookResult> | void;
export type LookupCallback = (error: Error | null, answer: string | LookupObject[], family?: number) => void;
export interface LookupObject {
  address: string;
  family: number;
}

const OPTIONS: LookupHookOptions = { all: true, order: 'verbatim' };

/** A program's hook as a `Lookup` of the resolver. Rejects with a ProxyError, or an error of `node:dns`. */
export const lookupOf =
  (hook: LookupHook): Lookup =>
  (host) =>
    new Promise((resolve, reject) => {
      const fail = (thrown: unknown) => reject(isOfDns(thrown) ? thrown : hookFailure('lookup', thrown));
      const settle = (answer: unknown) => {
        try {
          resolve(addressesIn(answer));
        } catch (error) {
          reject(error);
        }
      };
      const maybeSettle = (answer: unknown) => {
        // `dns.lookup` returns its request, and an async function with a callback a promise of nothing.
        if (hook.length < 3 || isLookupResult(answer)) settle(answer);
      };
      try {
        const returned: unknown = hook(host, OPTIONS, (error: unknown, answer: unknown) =>
          error ? fail(error) : settle(answer),
        );
        if (isThenable(returned)) returned.then(maybeSettle, fail);
        else maybeSettle(returned);
      } catch (thrown) {
        fail(thrown);
      }
    });

const isLookupResult = (value: unknown): boolean =>
  typeof value === 'string' || Array.isArray(value) || typeof addressIn(value) === 'string';

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/** Codes of the system and of c-ares, and none of Node's own (`ERR_…`), which mean a mistake in the program. */
const isOfDns = (thrown: unknown): boolean => /^E(?:AI_)?[A-Z]+$/.test(codeOf(thrown));

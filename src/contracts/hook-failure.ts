import { inspect } from 'node:util';
import { ProxyError } from './failure.ts';

/** A question that a program which embeds the proxy answers. */
export type HookName = 'authenticate' | 'authorize' | 'route' | 'limit' | 'respond' | 'tunnel' | 'lookup';

/** Of what a hook threw so much is repeated: it may hold a whole answer of a database. */
const TRACE_CHARS_MAX = 8_192;

/**
 * What a hook threw, as the failure of its request: a ProxyError decides what the client gets, anything else is
 * `hook_failed`. Its message is for the record, all of it for a notice, and nothing of it for the client. `secret` is
 * what the hook was given and no log may repeat: a text that holds it is left out.
 */
export function hookFailure(hook: HookName, thrown: unknown, secret = ''): ProxyError {
  if (thrown instanceof ProxyError) return thrown;
  const message = messageOf(thrown);
  if (secret === '' || !inspect(thrown).includes(secret)) {
    return new ProxyError('hook_failed', `${hook} hook: ${message}`, { cause: thrown });
  }
  const bare = new Error('its text is left out, since it holds what the client sent as a password');
  bare.stack = `${nameOf(thrown)}: ${bare.message}\n${framesOf(thrown)}`;
  return new ProxyError('hook_failed', `${hook} hook: ${nameOf(thrown)}; ${bare.message}`, { cause: bare });
}

/** A failure with everything that is known about it, stacks and causes too, for a notice. */
export function traceOf({ detail, cause }: ProxyError): string {
  if (cause === undefined) return detail;
  const trace = inspect(cause, { depth: 2, maxStringLength: TRACE_CHARS_MAX, maxArrayLength: 16 });
  return `${detail}\n${trace.slice(0, TRACE_CHARS_MAX)}`;
}

/** By shape: an Error of another realm, as in a test runner, is no `instanceof` ours. */
function textIn(thrown: unknown, key: 'name' | 'message' | 'stack'): string | undefined {
  if (typeof thrown !== 'object' || thrown === null) return undefined;
  const value: unknown = Reflect.get(thrown, key);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

const nameOf = (thrown: unknown): string => textIn(thrown, 'name') ?? 'threw';
const messageOf = (thrown: unknown): string => {
  const message = textIn(thrown, 'message') ?? textIn(thrown, 'name');
  return (message ?? inspect(thrown, { depth: 0 })).slice(0, TRACE_CHARS_MAX);
};
const framesOf = (thrown: unknown): string =>
  (textIn(thrown, 'stack') ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .join('\n');

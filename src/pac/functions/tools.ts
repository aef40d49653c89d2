/**
 * The functions in this folder run inside the sandbox. Each is passed as its own source text (prelude.ts), so it refers to
 * nothing outside itself but globals of the language. They do what browsers do, also with arguments of the wrong type: a
 * parameter has the type string where the browsers' helpers use it as one without a check.
 */

/** Scripts define these. */
declare const FindProxyForURL: unknown;
declare const FindProxyForURLEx: unknown;

/** What helpers look up outside of the sandbox. */
export type Question = 'dnsResolve' | 'dnsResolveEx' | 'myIpAddress' | 'myIpAddressEx';

/** Functions of the host that the sandbox calls. */
export interface HostFunctions {
  /** `null`: there is none. `undefined`: it is not known yet, and this run ends. */
  ask(question: Question, name: string): string | null | undefined;
  /** As Chromium reads a literal, legacy forms of IPv4 included. */
  isLiteral(text: string): boolean;
  isInBlock(address: string, block: string): boolean;
  /** `false` for a list with an entry that is not an address. */
  sortAddresses(list: string): string | false;
}

export interface Tools {
  readonly host: HostFunctions;
  /** Defines a helper of up to three arguments. Those that may wait for a lookup are recorded in every trace. */
  define(name: string, helper: (...args: never[]) => unknown, traced: 'in every trace' | 'when all calls are'): void;
  /** Defines a helper whose result depends on the number of its arguments. */
  defineVariadic(name: string, helper: (...args: unknown[]) => unknown): void;
  /** Defines a global without recording its calls. */
  publish(name: string, value: unknown): void;
  /** Calls a helper and records the call. */
  record(name: string, helper: (...args: never[]) => unknown, args: readonly unknown[]): unknown;
  /** Calls a global by name, as the browsers' helpers do: a script may have replaced it. */
  call(name: string, arg: unknown): unknown;
  /** Does not return when the result is not known yet. */
  ask(question: Question, name: string): string | null;
}

/** Functions of the sandbox that the host calls. */
export interface SandboxExports {
  /** Begins a run: discards the calls of the one before. */
  begin(trace: 'calls' | 'lookups'): void;
  /** Empty, or the fault of the script that was loaded. */
  check(): string;
  /** `=` and the result, or `!` and its fault. Throws what the script throws. */
  run(url: string, host: string): string;
  /** JSON of the calls: `[helper, args, result, ms]` each. */
  calls(): string;
}

export function makeTools(host: HostFunctions): Tools & SandboxExports {
  /** Calls that are recorded, and characters of one argument: a script may call helpers in a loop, with any text. */
  const callsMax = 500;
  const textMax = 1000;
  /** Enough for the longest list of routes that is used. It is parsed on the main thread, which serves all requests. */
  const resultMax = 32_768;
  const { apply, get, defineProperty, deleteProperty } = Reflect;
  const { stringify } = JSON;
  const { performance } = globalThis;
  // Not part of the language: the result of a script must not depend on how long something takes.
  deleteProperty(globalThis, 'performance');

  let calls: unknown[][] = [];
  let trace: 'calls' | 'lookups' = 'lookups';

  const shown = (value: unknown): unknown => {
    if (typeof value === 'string') return value.length > textMax ? `${value.slice(0, textMax)}…` : value;
    if (typeof value === 'boolean' || value === null || value === undefined) return value;
    if (typeof value === 'number') return value - value === 0 ? value : `${value}`;
    // Never the object's own toString: recording a call must not call the script.
    return `[${typeof value}]`;
  };

  const record = (name: string, helper: (...args: never[]) => unknown, args: readonly unknown[]): unknown => {
    if (calls.length >= callsMax) return apply(helper, undefined, args);
    const shownArgs: unknown[] = [];
    for (let at = 0; at < args.length; at++) shownArgs[at] = shown(args[at]);
    const call: unknown[] = [name, shownArgs, null, 0];
    calls[calls.length] = call;
    const started = performance.now();
    try {
      const result: unknown = apply(helper, undefined, args);
      call[2] = shown(result);
      return result;
    } catch (error) {
      call[2] = { threw: shown(error instanceof Error ? `${error.name}: ${error.message}` : error) };
      throw error;
    } finally {
      call[3] = performance.now() - started;
    }
  };

  const publish = (name: string, value: unknown): void => {
    defineProperty(globalThis, name, { value, writable: true, enumerable: true, configurable: true });
  };

  const entry = (): unknown => {
    // By name, not by `globalThis`: what `let` and `const` declare is no property of it.
    if (typeof FindProxyForURLEx === 'function') return FindProxyForURLEx;
    return typeof FindProxyForURL === 'undefined' ? undefined : FindProxyForURL;
  };

  return {
    host,
    publish,
    record,
    define(name, helper, traced) {
      const isAlways = traced === 'in every trace';
      publish(name, (a: never, b: never, c: never): unknown => {
        // The usual case creates no array: a PAC file of some hundred lines makes some hundred calls.
        if (trace === 'lookups' && !isAlways) return helper(a, b, c);
        const args = [a, b, c];
        while (args.length > 0 && args[args.length - 1] === undefined) args.length--;
        return record(name, helper, args);
      });
    },
    defineVariadic(name, helper) {
      publish(name, (...args: unknown[]): unknown =>
        trace === 'lookups' ? apply(helper, undefined, args) : record(name, helper, args),
      );
    },
    call: (name, arg) => apply(get(globalThis, name), undefined, [arg]),
    ask(question, name) {
      const found = host.ask(question, name);
      // The interrupt handler ends this loop: a script can neither catch that nor go on in `finally`.
      while (found === undefined);
      return found;
    },
    begin(kind) {
      trace = kind;
      calls = [];
    },
    check() {
      try {
        return typeof entry() === 'function' ? '' : 'FindProxyForURL is undefined or not a function';
      } catch {
        return 'accessing FindProxyForURL threw an exception';
      }
    },
    run(url, host) {
      const find = entry();
      if (typeof find !== 'function') return '!FindProxyForURL is no longer a function';
      const result: unknown = apply(find, globalThis, [url, host]);
      if (typeof result !== 'string') return '!FindProxyForURL() did not return a string';
      if (result.length > resultMax) return `!FindProxyForURL() returned more than ${resultMax} characters`;
      for (let at = 0; at < result.length; at++) {
        if (result.charCodeAt(at) > 127) return '!FindProxyForURL() returned characters that are not ASCII';
      }
      return `=${result}`;
    },
    calls: () => stringify(calls),
  };
}

/**
 * The functions in this folder run inside the sandbox. Each is handed over as its own source text (prelude.ts), so it
 * names nothing from outside itself but globals of the language. They do what browsers do, with arguments of the wrong
 * type too: a parameter is called a string where the browsers' helpers take it for one without looking.
 */

/** Only scripts can say what these are. */
declare const FindProxyForURL: unknown;
declare const FindProxyForURLEx: unknown;

/** What no helper can know by itself. */
export type Question = 'dnsResolve' | 'dnsResolveEx' | 'myIpAddress' | 'myIpAddressEx';

/** Functions that the host lends to the sandbox. */
export interface Lent {
  /** `null`: there is no answer. `undefined`: it is not known yet, and this run is over. */
  ask(question: Question, name: string): string | null | undefined;
  /** As Chromium reads a literal, legacy forms of IPv4 included. */
  isLiteral(text: string): boolean;
  isInBlock(address: string, block: string): boolean;
  /** `false` for a list that holds anything but addresses. */
  sortAddresses(list: string): string | false;
}

export interface Tools {
  readonly lent: Lent;
  /** Makes a helper of up to three arguments. Those that may wait for something are told in every trace. */
  define(name: string, helper: (...args: never[]) => unknown, told: 'in every trace' | 'when all calls are'): void;
  /** Makes a helper that looks at the number of its arguments. */
  defineVariadic(name: string, helper: (...args: unknown[]) => unknown): void;
  /** Makes a global that is no helper, or tells of itself. */
  publish(name: string, value: unknown): void;
  /** Calls a helper and tells of it. */
  record(name: string, helper: (...args: never[]) => unknown, args: readonly unknown[]): unknown;
  /** Calls a global by name, as the browsers' helpers do: a script may have put its own in place. */
  call(name: string, arg: unknown): unknown;
  /** Does not return when the answer is not known yet. */
  ask(question: Question, name: string): string | null;
}

/** What the sandbox gives back to the host. */
export interface Inside {
  /** Begins a run: forgets the calls of the one before. */
  begin(trace: 'calls' | 'lookups'): void;
  /** Empty, or what is wrong with the script that was loaded. */
  check(): string;
  /** `=` and the answer, or `!` and what is wrong with it. Throws what the script throws. */
  run(url: string, host: string): string;
  /** JSON of the calls: `[helper, args, result, ms]` each. */
  calls(): string;
}

export function makeTools(lent: Lent): Tools & Inside {
  /** Calls that are told, and characters of one argument: a script may call in a loop, with anything. */
  const callsMax = 500;
  const textMax = 1000;
  /** As much as the longest list of ways that is looked at. It is read on the main thread, where it holds up everybody. */
  const answerMax = 32_768;
  const { apply, get, defineProperty, deleteProperty } = Reflect;
  const { stringify } = JSON;
  const { performance } = globalThis;
  // Not part of the language: a script must not be able to measure what its answer should not depend on.
  deleteProperty(globalThis, 'performance');

  let calls: unknown[][] = [];
  let trace: 'calls' | 'lookups' = 'lookups';

  const shown = (value: unknown): unknown => {
    if (typeof value === 'string') return value.length > textMax ? `${value.slice(0, textMax)}…` : value;
    if (typeof value === 'boolean' || value === null || value === undefined) return value;
    if (typeof value === 'number') return value - value === 0 ? value : `${value}`;
    // Never the object's own toString: telling of a call must not call the script.
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
    lent,
    publish,
    record,
    define(name, helper, told) {
      const isAlways = told === 'in every trace';
      publish(name, (a: never, b: never, c: never): unknown => {
        // The usual way costs no array: a PAC file of some hundred lines calls some hundred times.
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
      const answer = lent.ask(question, name);
      // Ended from outside, by the interrupt handler: a script can neither catch that nor go on in `finally`.
      while (answer === undefined);
      return answer;
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
      if (typeof find !== 'function') return '!FindProxyForURL is not a function any more';
      const answer: unknown = apply(find, globalThis, [url, host]);
      if (typeof answer !== 'string') return '!FindProxyForURL() did not return a string';
      if (answer.length > answerMax) return `!FindProxyForURL() returned more than ${answerMax} characters`;
      for (let at = 0; at < answer.length; at++) {
        if (answer.charCodeAt(at) > 127) return '!FindProxyForURL() returned characters that are not ASCII';
      }
      return `=${answer}`;
    },
    calls: () => stringify(calls),
  };
}

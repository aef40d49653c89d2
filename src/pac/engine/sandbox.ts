import { Intrinsics, JSException, type JSValueHandle, QuickJS } from 'quickjs-wasi';
import { systemClock } from '../../util/clock.ts';
import type { Question } from '../functions/tools.ts';
import { isInBlock, literalAddress, nameToResolve, parseLiteral, sortAddresses } from './literals.ts';
import { LOCAL_ADDRESSES } from './local-addresses.ts';
import type { Fact, Outcome } from './messages.ts';
import { preludeText } from './prelude.ts';
import { timeZone } from './time-zone.ts';

/** For a script and all its objects. The largest text that is fetched, 1 MiB, needs a third of this. */
const MEMORY_BYTES_MAX = 32 * 1024 * 1024;
/** The most that QuickJS allows; a script that nests deeper than this recurses without end. */
const STACK_BYTES_MAX = 512 * 1024;
/** Names that one evaluation may resolve, as in Chromium. Further ones do not resolve. */
const NAMES_MAX = 20;
/** Of what a script throws. It goes to the log, where notices keep it to leave out repetitions. */
const THROWN_CHARACTERS_MAX = 500;

/** Name of the script in the stacks of its errors. */
const FILE = 'proxy.pac';

/** Without what browsers' PAC engines lack, and without weak references. */
const LANGUAGE = (Intrinsics.ALL & ~(Intrinsics.DOM_EXCEPTION | Intrinsics.ATOB_BTOA | Intrinsics.WEAK_REF)) >>> 0;

/** The inputs of one run. */
export interface Run {
  /** What `Date` returns during the whole run, and again when it is repeated with more facts. */
  readonly wallMs: number;
  readonly trace: 'calls' | 'lookups';
  /** On `systemClock`. */
  readonly untilMs: number;
  fact(key: string): Fact | undefined;
  /** Whether the main thread wants it to stop. */
  stopped(): boolean;
}

const IDLE_RUN: Run = {
  wallMs: 0,
  trace: 'lookups',
  untilMs: Number.POSITIVE_INFINITY,
  fact: () => undefined,
  stopped: () => false,
};

/**
 * One script in a virtual machine of its own. The clock is the system's, not an injected one: what is measured here is
 * the real time that a script takes.
 */
export class Sandbox implements Disposable {
  readonly #vm: QuickJS;
  #run: Run = IDLE_RUN;
  #startedMs = 0;
  /** Time that the evaluation waited for the facts of this run: added where the run looks them up. */
  #waitedMs = 0;
  readonly #lookedUp = new Set<string>();
  #missing: string | undefined;
  #exports: Readonly<Record<'begin' | 'check' | 'run' | 'calls', JSValueHandle>> | undefined;
  #broken = false;

  private constructor(vm: QuickJS) {
    this.#vm = vm;
  }

  /** Whether it must not be used again: it ran out of memory or stack, which leaves it in an undefined state. */
  get broken(): boolean {
    return this.#broken;
  }

  static async create(wasm: Wasm, zoneName: string | undefined): Promise<Sandbox> {
    const zone = timeZone(zoneName);
    let sandbox: Sandbox | undefined;
    const vm = await QuickJS.create({
      wasm,
      memoryLimit: MEMORY_BYTES_MAX,
      maxStackSize: STACK_BYTES_MAX,
      intrinsics: LANGUAGE,
      interruptHandler: () => sandbox?.mustEnd() ?? false,
      timezoneOffset: (atS: number) => zone(atS * 1000),
      wasi: (memory: Memory) => ({
        // QuickJS seeds Math.random from here before the sandbox exists.
        clock_time_get: (id: number, _precision: bigint, at: number) =>
          writeNs(memory, at, sandbox?.clockMs(id) ?? systemClock.wallMs()),
        // Output of the virtual machine is dropped: 52 is ENOSYS.
        fd_write: () => 52,
      }),
    });
    sandbox = new Sandbox(vm);
    sandbox.#installHelpers();
    return sandbox;
  }

  mustEnd(): boolean {
    return this.#missing !== undefined || systemClock.now() > this.#run.untilMs || this.#run.stopped();
  }

  clockMs(id: number): number {
    return id === 0 ? this.#run.wallMs : systemClock.now() + this.#waitedMs;
  }

  /** Runs the script once, for what it defines. Its result has no meaning. */
  load(text: string, run: Run): Outcome {
    return this.#perform(run, () => {
      this.#vm.evalCode(text, FILE).dispose();
      const wrong = this.#call('check');
      return wrong === '' ? '=' : `!${wrong}`;
    });
  }

  evaluate(url: string, host: string, run: Run): Outcome {
    return this.#perform(run, () => {
      using urlHandle = this.#vm.newString(url);
      using hostHandle = this.#vm.newString(host);
      const result = this.#call('run', urlHandle, hostHandle);
      // Promises that the script has started go on as in a browser; the result does not wait for them.
      this.#vm.executePendingJobs();
      return result;
    });
  }

  [Symbol.dispose](): void {
    // To free a machine in an undefined state could fail; without a reference all of its memory is collected at once.
    if (!this.#broken) this.#vm.dispose();
  }

  #perform(run: Run, work: () => string): Outcome {
    this.#run = run;
    this.#waitedMs = 0;
    this.#missing = undefined;
    this.#lookedUp.clear();
    this.#startedMs = systemClock.now();
    try {
      using trace = this.#vm.newString(run.trace);
      this.#call('begin', trace);
      const result = work();
      return this.#ended(result.startsWith('!') ? { failure: result.slice(1) } : { result: result.slice(1) });
    } catch (error) {
      return this.#ended({ failure: this.#failureText(error) });
    } finally {
      this.#run = IDLE_RUN;
    }
  }

  #ended(result: { readonly result: string } | { readonly failure: string }): Outcome {
    // The script may have gone on for a while without the fact: in an async function an interrupt is only a rejected
    // promise. The result of such a run is discarded.
    if (this.#missing !== undefined) return { at: 'missing', key: this.#missing };
    if (this.#run.stopped()) return { at: 'stopped' };
    const nowMs = systemClock.now();
    const isLate = nowMs > this.#run.untilMs;
    this.#run = IDLE_RUN;
    const calls = this.#broken ? '[]' : this.#readCalls();
    if (isLate) return { at: 'late', calls, ranMs: nowMs - this.#startedMs };
    return 'result' in result
      ? { at: 'answered', result: result.result, calls }
      : { at: 'failed', failure: result.failure, calls };
  }

  #readCalls(): string {
    try {
      return this.#call('calls');
    } catch {
      // The script has replaced what JSON.stringify needs: its calls cannot be reported.
      return '[]';
    }
  }

  #failureText(error: unknown): string {
    if (!(error instanceof JSException)) {
      // Node's stack, or WebAssembly's, overflowed before QuickJS noticed: frames are left on QuickJS's own stack.
      this.#broken = true;
      return error instanceof RangeError
        ? 'the script calls itself too deeply'
        : `the script broke its sandbox: ${String(error)}`;
    }
    try {
      const { name, message, stack, handle } = error;
      // `name` and `message` cannot be read from either.
      if (handle.isNull || handle.isUndefined) return `the script threw ${handle.isNull ? 'null' : 'undefined'}`;
      if (name === 'InternalError' && message === 'out of memory') {
        this.#broken = true;
        return `the script used more than ${MEMORY_BYTES_MAX / 1024 / 1024} MiB of memory`;
      }
      const line = new RegExp(`${FILE}:(\\d+)`).exec(stack ?? '')?.[1];
      const thrown = `${name}: ${message}`;
      const shown = thrown.length > THROWN_CHARACTERS_MAX ? `${thrown.slice(0, THROWN_CHARACTERS_MAX)}…` : thrown;
      return `${shown}${line === undefined ? '' : ` (line ${line})`}`;
    } finally {
      error.dispose();
    }
  }

  #call(name: 'begin' | 'check' | 'run' | 'calls', ...args: readonly JSValueHandle[]): string {
    if (this.#exports === undefined) throw new Error('the helpers of the sandbox are not installed');
    using result = this.#vm.callFunction(this.#exports[name], this.#vm.undefined, ...args);
    return result.toString();
  }

  #installHelpers(): void {
    const vm = this.#vm;
    using host = vm.newObject();
    const addFunction = (name: string, work: (a: string, b: string) => string | boolean | null | undefined): void => {
      using handle = vm.newFunction(name, (a, b) => vm.hostToHandle(work(a?.toString() ?? '', b?.toString() ?? '')));
      vm.setProp(host, name, handle);
    };
    addFunction('ask', (question, name) => this.#lookUp(question, name));
    addFunction('isLiteral', (text) => parseLiteral(text) !== undefined);
    addFunction('isInBlock', isInBlock);
    addFunction('sortAddresses', sortAddresses);
    using prelude = vm.evalCode(preludeText(), 'helpers');
    using tools = vm.callFunction(prelude, vm.undefined, host);
    this.#exports = {
      begin: tools.getProp('begin'),
      check: tools.getProp('check'),
      run: tools.getProp('run'),
      calls: tools.getProp('calls'),
    };
  }

  #lookUp(question: Question | string, text: string): string | null | undefined {
    // The run was interrupted already, and an async function of the script goes on.
    if (this.#missing !== undefined) return undefined;
    const isOwn = question === 'myIpAddress' || question === 'myIpAddressEx';
    if (!isOwn) {
      const literal = literalAddress(text);
      if (literal !== undefined) return question === 'dnsResolveEx' || !literal.includes(':') ? literal : null;
    }
    const key = isOwn ? LOCAL_ADDRESSES : nameToResolve(text);
    if (key === undefined) return null;
    if (!this.#lookedUp.has(key)) {
      if (!isOwn && this.#lookedUp.size >= NAMES_MAX) return null;
      this.#lookedUp.add(key);
    }
    const fact = this.#run.fact(key);
    if (fact === undefined) {
      this.#missing = key;
      return undefined;
    }
    this.#waitedMs += fact.waitedMs;
    if (question === 'dnsResolve' || question === 'myIpAddress') return fact.first ?? null;
    return fact.all.length === 0 ? null : fact.all.join(';');
  }
}

/** A WebAssembly.Module and a WebAssembly.Memory: Node has them, and its types have no name for them. */
export type Wasm = object;
interface Memory {
  readonly buffer: ArrayBuffer;
}

function writeNs(memory: Memory, at: number, ms: number): number {
  new DataView(memory.buffer).setBigUint64(at, BigInt(Math.max(0, Math.round(ms * 1e6))), true);
  return 0;
}

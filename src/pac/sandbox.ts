import { Intrinsics, JSException, type JSValueHandle, QuickJS } from 'quickjs-wasi';
import type { Question } from './functions/tools.ts';
import { isInBlock, literalAddress, nameToAsk, parseLiteral, sortAddresses } from './literals.ts';
import type { Fact, Outcome } from './messages.ts';
import { OWN_ADDRESSES } from './own-addresses.ts';
import { preludeText } from './prelude.ts';
import { timeZone } from './time-zone.ts';

/** A script and all that it makes. The largest text that is fetched, 1 MiB, needs a third of this. */
const MEMORY_BYTES_MAX = 32 * 1024 * 1024;
/** The most that QuickJS allows; helpers nest, and a deeper script is a loop. */
const STACK_BYTES_MAX = 512 * 1024;
/** Names that one evaluation may resolve, as in Chromium. Further ones do not resolve. */
const NAMES_MAX = 20;
/** Of what a script throws: it goes to the log, and is remembered there so as not to be told again. */
const THROWN_CHARACTERS_MAX = 500;

/** Name of the script in the stacks of its errors. */
const FILE = 'proxy.pac';

/** Nothing that browsers' PAC engines lack and that could hold on to something. */
const LANGUAGE = (Intrinsics.ALL & ~(Intrinsics.DOM_EXCEPTION | Intrinsics.ATOB_BTOA | Intrinsics.WEAK_REF)) >>> 0;

/** What one run may know. */
export interface Run {
  /** What `Date` says all through it, so that a run that is repeated sees the same. */
  readonly wallMs: number;
  readonly trace: 'calls' | 'lookups';
  /** On the thread's clock. */
  readonly untilMs: number;
  fact(key: string): Fact | undefined;
  /** Whether nobody waits for it any more. */
  stopped(): boolean;
}

const FREE: Run = {
  wallMs: 0,
  trace: 'lookups',
  untilMs: Number.POSITIVE_INFINITY,
  fact: () => undefined,
  stopped: () => false,
};

/** One script in a machine of its own. Time is the thread's, not a Clock's: what is measured here is what it takes. */
export class Sandbox implements Disposable {
  readonly #vm: QuickJS;
  #run: Run = FREE;
  #startedMs = 0;
  /** Time that this run waited for facts before it began again: added where it asked. */
  #waitedMs = 0;
  readonly #asked = new Set<string>();
  #missing: string | undefined;
  #inside: Readonly<Record<'begin' | 'check' | 'run' | 'calls', JSValueHandle>> | undefined;
  #broken = false;

  private constructor(vm: QuickJS) {
    this.#vm = vm;
  }

  /** Whether it must not be used again: it ran out of memory or stack somewhere that leaves it in no good state. */
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
        // The generator of Math.random takes its seed from here before there is a sandbox.
        clock_time_get: (id: number, _precision: bigint, at: number) =>
          writeNs(memory, at, sandbox?.clockMs(id) ?? Date.now()),
        // What the machine itself has to say has no reader.
        fd_write: () => 52,
      }),
    });
    sandbox = new Sandbox(vm);
    sandbox.#furnish();
    return sandbox;
  }

  mustEnd(): boolean {
    return this.#missing !== undefined || performance.now() > this.#run.untilMs || this.#run.stopped();
  }

  clockMs(id: number): number {
    return id === 0 ? this.#run.wallMs : performance.now() + this.#waitedMs;
  }

  /** Runs the script once, for what it defines. The answer means nothing. */
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
      const answer = this.#call('run', urlHandle, hostHandle);
      // What the script has set going goes on as it would in a browser, and is not waited for.
      this.#vm.executePendingJobs();
      return answer;
    });
  }

  [Symbol.dispose](): void {
    // Freeing what is in no good state could fail; without a reference all of its memory goes at once.
    if (!this.#broken) this.#vm.dispose();
  }

  #perform(run: Run, work: () => string): Outcome {
    this.#run = run;
    this.#waitedMs = 0;
    this.#missing = undefined;
    this.#asked.clear();
    this.#startedMs = performance.now();
    try {
      using trace = this.#vm.newString(run.trace);
      this.#call('begin', trace);
      const said = work();
      return this.#ended(said.startsWith('!') ? { trouble: said.slice(1) } : { answer: said.slice(1) });
    } catch (error) {
      return this.#ended({ trouble: this.#troubleOf(error) });
    } finally {
      this.#run = FREE;
    }
  }

  #ended(how: { readonly answer: string } | { readonly trouble: string }): Outcome {
    // A script may have gone on for a while with an answer that nobody gave: in an async function an interrupt is only
    // a rejected promise. Such a run counts for nothing.
    if (this.#missing !== undefined) return { at: 'missing', key: this.#missing };
    if (this.#run.stopped()) return { at: 'stopped' };
    const nowMs = performance.now();
    const isLate = nowMs > this.#run.untilMs;
    this.#run = FREE;
    const calls = this.#broken ? '[]' : this.#readCalls();
    if (isLate) return { at: 'late', calls, ranMs: nowMs - this.#startedMs };
    return 'answer' in how
      ? { at: 'answered', answer: how.answer, calls }
      : { at: 'failed', trouble: how.trouble, calls };
  }

  #readCalls(): string {
    try {
      return this.#call('calls');
    } catch {
      // A script that has spoilt what JSON is made of cannot be told about.
      return '[]';
    }
  }

  #troubleOf(error: unknown): string {
    if (!(error instanceof JSException)) {
      // Node's own stack, or WebAssembly's, ended before QuickJS noticed: its frames are still on its own.
      this.#broken = true;
      return error instanceof RangeError
        ? 'the script calls itself too deeply'
        : `the script broke its sandbox: ${String(error)}`;
    }
    try {
      const { name, message, stack, handle } = error;
      // Neither has the properties that the name and the message are read from.
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
    if (this.#inside === undefined) throw new Error('the sandbox is not furnished');
    using result = this.#vm.callFunction(this.#inside[name], this.#vm.undefined, ...args);
    return result.toString();
  }

  #furnish(): void {
    const vm = this.#vm;
    using lent = vm.newObject();
    const lend = (name: string, work: (a: string, b: string) => string | boolean | null | undefined): void => {
      using made = vm.newFunction(name, (a, b) => vm.hostToHandle(work(a?.toString() ?? '', b?.toString() ?? '')));
      vm.setProp(lent, name, made);
    };
    lend('ask', (question, name) => this.#ask(question, name));
    lend('isLiteral', (text) => parseLiteral(text) !== undefined);
    lend('isInBlock', isInBlock);
    lend('sortAddresses', sortAddresses);
    using prelude = vm.evalCode(preludeText(), 'helpers');
    using tools = vm.callFunction(prelude, vm.undefined, lent);
    this.#inside = {
      begin: tools.getProp('begin'),
      check: tools.getProp('check'),
      run: tools.getProp('run'),
      calls: tools.getProp('calls'),
    };
  }

  #ask(question: Question | string, text: string): string | null | undefined {
    // The run is over already, and an async function of the script has not noticed.
    if (this.#missing !== undefined) return undefined;
    const isOwn = question === 'myIpAddress' || question === 'myIpAddressEx';
    if (!isOwn) {
      const literal = literalAddress(text);
      if (literal !== undefined) return question === 'dnsResolveEx' || !literal.includes(':') ? literal : null;
    }
    const key = isOwn ? OWN_ADDRESSES : nameToAsk(text);
    if (key === undefined) return null;
    if (!this.#asked.has(key)) {
      if (!isOwn && this.#asked.size >= NAMES_MAX) return null;
      this.#asked.add(key);
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

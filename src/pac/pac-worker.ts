/**
 * The thread that runs PAC scripts, one run after the other. It keeps no promise: whoever waits for a run has a timer of
 * their own, and ends this thread when a run cannot be interrupted. Built as a file of its own beside the command.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import type { Fact, FromWorker, JobMessage, Outcome, ToWorker, WorkerData } from './messages.ts';
import { KEPT, SCRIPTS_MAX, SKIP_THROUGH, STOP_THROUGH } from './messages.ts';
import { type Run, Sandbox, type Wasm } from './sandbox.ts';

/** A worker remembers facts for this long, so that most evaluations need not ask the main thread and begin again. */
const FACT_MS = 10_000;
const FACTS_MAX = 1000;

declare const WebAssembly: { readonly Module: new (bytes: Uint8Array) => Wasm };

/** A script that threw while it was loaded would throw again. */
type Loaded = { readonly at: 'ready'; readonly sandbox: Sandbox } | { readonly at: 'unusable'; readonly why: Outcome };

const { zone, orders }: WorkerData = workerData;
const wasm = new WebAssembly.Module(readFileSync(wasmPath()));
const scripts = new Map<number, string>();
const loaded = new Map<number, Loaded>();
const remembered = new Map<string, { readonly fact: Fact; readonly untilMs: number }>();
let generation = 0;

/** The bundled command has it beside itself; everywhere else it lies in its package. */
function wasmPath(): string {
  const beside = fileURLToPath(new URL('./quickjs.wasm', import.meta.url));
  return existsSync(beside) ? beside : fileURLToPath(import.meta.resolve('quickjs-wasi/quickjs.wasm'));
}

function say(message: FromWorker): void {
  parentPort?.postMessage(message);
}

function forget(): void {
  for (const id of loaded.keys()) unload(id);
  remembered.clear();
}

async function perform(job: JobMessage): Promise<{ phase: 'load' | 'run'; outcome: Outcome }> {
  if (job.generation === generation) {
    if (remembered.size >= FACTS_MAX) remembered.clear();
    for (const [key, fact] of job.facts)
      remembered.set(key, { fact: { ...fact, waitedMs: 0 }, untilMs: performance.now() + FACT_MS });
  }
  const startedMs = performance.now();
  const run: Run = {
    wallMs: job.wallMs,
    trace: job.trace,
    untilMs: job.untilMs - performance.timeOrigin,
    fact(key) {
      const own = job.facts.get(key);
      if (own !== undefined) return own;
      const known = remembered.get(key);
      // As of the beginning of the run, so that it cannot change its mind half-way.
      return known !== undefined && known.untilMs > startedMs ? known.fact : undefined;
    },
    stopped: () => Atomics.load(orders, STOP_THROUGH) >= job.seq,
  };
  const script = loaded.get(job.script) ?? (await load(job, run));
  if (script.at === 'unusable') return { phase: 'load', outcome: script.why };
  const outcome = script.sandbox.evaluate(job.url, job.host, run);
  if (script.sandbox.broken) unload(job.script);
  return { phase: 'run', outcome };
}

async function load(job: JobMessage, run: Run): Promise<Loaded> {
  const sandbox = spare ?? (await Sandbox.create(wasm, zone));
  spare = undefined;
  const outcome = sandbox.load(scripts.get(job.script) ?? '', run);
  const made: Loaded = outcome.at === 'answered' ? { at: 'ready', sandbox } : { at: 'unusable', why: outcome };
  if (made.at === 'unusable') sandbox[Symbol.dispose]();
  // In any other case half of it has run, and the next attempt begins with a clean one.
  if (outcome.at === 'answered' || outcome.at === 'failed') {
    for (const old of loaded.keys()) if (loaded.size >= SCRIPTS_MAX) unload(old);
    loaded.set(job.script, made);
  }
  if (made.at === 'ready') say({ say: 'loaded', script: job.script });
  return made;
}

function unload(id: number): void {
  const script = loaded.get(id);
  if (script?.at === 'ready') script.sandbox[Symbol.dispose]();
  loaded.delete(id);
}

async function obey(message: ToWorker): Promise<void> {
  switch (message.say) {
    case 'script':
      for (const old of scripts.keys()) if (scripts.size >= SCRIPTS_MAX) scripts.delete(old);
      scripts.set(message.id, message.text);
      return;
    case 'forget':
      generation = message.generation;
      forget();
      return;
    case 'run':
      if (mayBegin(message.job.seq)) say({ say: 'ended', seq: message.job.seq, ...(await perform(message.job)) });
      return;
  }
}

const mayBegin = (seq: number): boolean =>
  seq > Atomics.load(orders, SKIP_THROUGH) || seq === Atomics.load(orders, KEPT);

// Making one takes longer than most scripts run, so the first is there before anybody waits for it.
let spare: Sandbox | undefined;
let turn = Sandbox.create(wasm, zone).then((sandbox) => {
  spare = sandbox;
  say({ say: 'ready' });
});
parentPort?.on('message', (message: ToWorker) => {
  // Making a sandbox takes a moment; what comes meanwhile waits its turn.
  turn = turn.then(() => obey(message));
});

/**
 * The thread that runs PAC scripts, one run after the other. It does not enforce deadlines alone: the main thread has a
 * timer for each evaluation, and ends this thread when a run cannot be interrupted. Built as a file of its own beside
 * the command.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { sharedNow, systemClock } from '../../util/clock.ts';
import type { Fact, JobMessage, Outcome, WorkerCommand, WorkerData, WorkerEvent } from './messages.ts';
import { EXEMPT_SEQ, SCRIPTS_MAX, SKIP_THROUGH, STOP_THROUGH } from './messages.ts';
import { type Run, Sandbox, type Wasm } from './sandbox.ts';

/** A worker caches facts for this long, so that most evaluations need no lookup by the main thread and no second run. */
const FACT_MS = 10_000;
const FACTS_MAX = 1000;

declare const WebAssembly: { readonly Module: new (bytes: Uint8Array) => Wasm };

/** A script that threw while it was loaded would throw again, so its outcome is cached. */
type LoadResult =
  | { readonly at: 'ready'; readonly sandbox: Sandbox }
  | { readonly at: 'unusable'; readonly why: Outcome };

const { zone, control }: WorkerData = workerData;
const wasm = new WebAssembly.Module(readFileSync(wasmPath()));
const scripts = new Map<number, string>();
const loaded = new Map<number, LoadResult>();
const cachedFacts = new Map<string, { readonly fact: Fact; readonly untilMs: number }>();
let generation = 0;

/** It lies beside the bundled command; everywhere else in its package. */
function wasmPath(): string {
  const beside = fileURLToPath(new URL('./quickjs.wasm', import.meta.url));
  return existsSync(beside) ? beside : fileURLToPath(import.meta.resolve('quickjs-wasi/quickjs.wasm'));
}

function post(message: WorkerEvent): void {
  parentPort?.postMessage(message);
}

function forget(): void {
  for (const id of loaded.keys()) unload(id);
  cachedFacts.clear();
}

async function perform(job: JobMessage): Promise<{ phase: 'load' | 'run'; outcome: Outcome }> {
  if (job.generation === generation) {
    if (cachedFacts.size >= FACTS_MAX) cachedFacts.clear();
    for (const [key, fact] of job.facts)
      cachedFacts.set(key, { fact: { ...fact, waitedMs: 0 }, untilMs: systemClock.now() + FACT_MS });
  }
  const startedMs = systemClock.now();
  const run: Run = {
    wallMs: job.wallMs,
    trace: job.trace,
    untilMs: startedMs + (job.untilMs - sharedNow()),
    fact(key) {
      const own = job.facts.get(key);
      if (own !== undefined) return own;
      const known = cachedFacts.get(key);
      // As of the beginning of the run, so that all lookups of one run see the same facts.
      return known !== undefined && known.untilMs > startedMs ? known.fact : undefined;
    },
    stopped: () => Atomics.load(control, STOP_THROUGH) >= job.seq,
  };
  const script = loaded.get(job.script) ?? (await load(job, run));
  if (script.at === 'unusable') return { phase: 'load', outcome: script.why };
  const outcome = script.sandbox.evaluate(job.url, job.host, run);
  if (script.sandbox.broken) unload(job.script);
  return { phase: 'run', outcome };
}

async function load(job: JobMessage, run: Run): Promise<LoadResult> {
  const sandbox = spare ?? (await Sandbox.create(wasm, zone));
  spare = undefined;
  const outcome = sandbox.load(scripts.get(job.script) ?? '', run);
  const result: LoadResult = outcome.at === 'answered' ? { at: 'ready', sandbox } : { at: 'unusable', why: outcome };
  if (result.at === 'unusable') sandbox[Symbol.dispose]();
  // In any other case a part of the script has run, and the next attempt needs a new sandbox.
  if (outcome.at === 'answered' || outcome.at === 'failed') {
    for (const old of loaded.keys()) if (loaded.size >= SCRIPTS_MAX) unload(old);
    loaded.set(job.script, result);
  }
  if (result.at === 'ready') post({ type: 'loaded', script: job.script });
  return result;
}

function unload(id: number): void {
  const script = loaded.get(id);
  if (script?.at === 'ready') script.sandbox[Symbol.dispose]();
  loaded.delete(id);
}

async function handleMessage(message: WorkerCommand): Promise<void> {
  switch (message.type) {
    case 'script':
      for (const old of scripts.keys()) if (scripts.size >= SCRIPTS_MAX) scripts.delete(old);
      scripts.set(message.id, message.text);
      return;
    case 'forget':
      generation = message.generation;
      forget();
      return;
    case 'run':
      if (mayBegin(message.job.seq)) post({ type: 'ended', seq: message.job.seq, ...(await perform(message.job)) });
      return;
  }
}

const mayBegin = (seq: number): boolean =>
  seq > Atomics.load(control, SKIP_THROUGH) || seq === Atomics.load(control, EXEMPT_SEQ);

// To create a sandbox takes longer than most runs, so the first is created before a script is sent.
let spare: Sandbox | undefined;
let queue = Sandbox.create(wasm, zone).then((sandbox) => {
  spare = sandbox;
  post({ type: 'ready' });
});
parentPort?.on('message', (message: WorkerCommand) => {
  // In order, also when one waits for a sandbox to be created.
  queue = queue.then(() => handleMessage(message));
});

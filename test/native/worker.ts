/** A worker with a tunnel that never ends. */
import { parentPort } from 'node:worker_threads';
import { nativeThread } from '../../src/native/relay-thread.ts';
import { IdleWatch } from '../../src/net/idle-watch.ts';
import { NativeRelay } from '../../src/relay/native-relay.ts';
import { portableRelay } from '../../src/relay/portable-relay.ts';
import { systemClock } from '../../src/util/clock.ts';
import { unlimited } from '../support/unlimited.ts';
import { socketPair } from '../support/wire-pair.ts';

const { thread } = nativeThread();
if (thread === undefined) throw new Error('not built');
const idle = new IdleWatch(systemClock);
const relay = new NativeRelay({ thread, portable: portableRelay(idle), idle, clock: systemClock });
const [near, far] = [await socketPair(), await socketPair()];
const { signal } = new AbortController();
void relay.run(near.connection, far.connection, {
  signal,
  idleMs: 0,
  lingerMs: 0,
  permit: unlimited,
  meter: { up: 0, down: 0 },
});
near.accepted.write('through');
far.accepted.once('data', () => parentPort?.postMessage('open'));

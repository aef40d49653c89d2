import { nativeThread } from '../../src/native/thread.ts';
import { NativeRelay } from '../../src/relay/native.ts';
import { portableRelay } from '../../src/relay/relay.ts';
import { relayKeepsItsPromises } from './relay.ts';

relayKeepsItsPromises('portable relay', (idle) => portableRelay(idle));

const { thread } = nativeThread();
if (thread !== undefined) {
  relayKeepsItsPromises(
    'native relay',
    (idle, clock) => new NativeRelay({ thread, portable: portableRelay(idle), idle, clock }),
  );
}

import { type Addon, loadAddon } from '../../src/native/addon.ts';
import { nativeLane } from '../../src/native/lane.ts';
import { NativeThread, nativeThread } from '../../src/native/thread.ts';
import { NativeRelay } from '../../src/relay/native.ts';
import { portableRelay } from '../../src/relay/relay.ts';
import { acceptedBy, dialledBy, nodeWire } from '../support/wire-pair.ts';
import { type MakeRelay, relayKeepsItsPromises, type Wires } from './relay.ts';

const portable: MakeRelay = (idle) => portableRelay(idle);
const nativeOn =
  (thread: NativeThread): MakeRelay =>
  (idle, clock) =>
    new NativeRelay({ thread, portable: portableRelay(idle), idle, clock });

/** What passes through wires of another kind takes the same ways, so that less of it says as much. */
const bulkMb = 10;

relayKeepsItsPromises('portable relay', portable);

const { thread } = nativeThread();
if (thread !== undefined) relayKeepsItsPromises('native relay', nativeOn(thread));

const lane = nativeLane();
if (lane !== undefined) {
  const ofLane: Wires = { client: acceptedBy(lane), upstream: dialledBy(lane) };
  const mixed: readonly (readonly [string, Wires])[] = [
    ['a client of the lane', { ...ofLane, upstream: nodeWire }],
    ['an upstream of the lane', { ...ofLane, client: nodeWire }],
  ];
  relayKeepsItsPromises('portable relay over the lane', portable, { wires: ofLane, bulkMb });
  for (const [name, wires] of mixed) relayKeepsItsPromises(`portable relay, ${name}`, portable, { wires, bulkMb });
  if (thread !== undefined) {
    relayKeepsItsPromises('native relay over the lane', nativeOn(thread), { wires: ofLane, bulkMb });
    for (const [name, wires] of mixed) {
      relayKeepsItsPromises(`native relay, ${name}`, nativeOn(thread), { wires, bulkMb });
    }
  }
  const { addon } = loadAddon();
  if (addon !== undefined) {
    const refusing = nativeOn(new NativeThread(full(addon)));
    for (const [name, wires] of [['both of the lane', ofLane], ...mixed] as const) {
      relayKeepsItsPromises(`native relay whose thread takes nothing, ${name}`, refusing, { wires, bulkMb });
    }
  }
}

/** An addon whose thread has no memory left for a tunnel. */
function full(addon: Addon): Addon {
  const nothing = (): void => undefined;
  return {
    start: nothing,
    addBlock: nothing,
    take: () => 12,
    order: nothing,
    collect: () => [-1, -1, Buffer.alloc(0), Buffer.alloc(0), -1],
    hold: nothing,
    lane: addon.lane,
  };
}

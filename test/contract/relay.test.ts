import { loadAddon, type RelayAddon } from '../../src/native/addon.ts';
import { NativeThread, nativeThread } from '../../src/native/relay-thread.ts';
import { epollSockets } from '../../src/net/epoll-sockets.ts';
import { NativeRelay } from '../../src/relay/native-relay.ts';
import { portableRelay } from '../../src/relay/portable-relay.ts';
import { acceptedBy, dialledBy, nodeWire } from '../support/wire-pair.ts';
import { type MakeRelay, relayKeepsItsPromises, type Wires } from './relay.ts';

const nothing = (): void => undefined;
/** An addon whose thread has no memory left for a tunnel. */
const full: RelayAddon = { start: nothing, addBlock: nothing, add: () => 12, command: nothing, hold: nothing };

const portable: MakeRelay = (idle) => portableRelay(idle);
const nativeOn =
  (thread: NativeThread): MakeRelay =>
  (idle, clock) =>
    new NativeRelay({ thread, portable: portableRelay(idle), idle, clock });

/** Bytes through wires of another kind take the same paths, so that fewer of them prove as much. */
const bulkMb = 10;

relayKeepsItsPromises('portable relay', portable);

const { thread } = nativeThread();
if (thread !== undefined) relayKeepsItsPromises('native relay', nativeOn(thread));

const sockets = epollSockets();
if (sockets !== undefined) {
  const epoll: Wires = { client: acceptedBy(sockets), upstream: dialledBy(sockets) };
  const mixed: readonly (readonly [string, Wires])[] = [
    ['an epoll client', { ...epoll, upstream: nodeWire }],
    ['an epoll upstream', { ...epoll, client: nodeWire }],
  ];
  relayKeepsItsPromises('portable relay over epoll sockets', portable, { wires: epoll, bulkMb });
  for (const [name, wires] of mixed) relayKeepsItsPromises(`portable relay, ${name}`, portable, { wires, bulkMb });
  if (thread !== undefined) {
    relayKeepsItsPromises('native relay over epoll sockets', nativeOn(thread), { wires: epoll, bulkMb });
    for (const [name, wires] of mixed) {
      relayKeepsItsPromises(`native relay, ${name}`, nativeOn(thread), { wires, bulkMb });
    }
  }
  const { addon } = loadAddon();
  if (addon !== undefined) {
    const refusing = nativeOn(new NativeThread(full));
    for (const [name, wires] of [['both epoll', epoll], ...mixed] as const) {
      relayKeepsItsPromises(`native relay whose thread takes nothing, ${name}`, refusing, { wires, bulkMb });
    }
  }
}

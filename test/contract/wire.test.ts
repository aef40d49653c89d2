import { epollSockets } from '../../src/net/epoll-sockets.ts';
import { acceptedBy, dialledBy, nodeWire, streamWire } from '../support/wire-pair.ts';
import { wireKeepsItsPromises } from './wire.ts';

wireKeepsItsPromises({ name: 'socket wire', make: nodeWire, ownership: 'shared', reset: 'reset', asStream: 'its own' });

// Not every stream has a reset.
wireKeepsItsPromises({
  name: 'stream wire',
  make: streamWire,
  ownership: 'fresh',
  reset: 'fin',
  asStream: 'its own',
});

const sockets = epollSockets();
if (sockets !== undefined) {
  const kind = { ownership: 'shared', reset: 'reset', asStream: 'a new one' } as const;
  wireKeepsItsPromises({ name: 'epoll wire that has connected', make: dialledBy(sockets), ...kind });
  wireKeepsItsPromises({ name: 'epoll wire that was accepted', make: acceptedBy(sockets), ...kind });
}

import { nativeLane } from '../../src/native/lane.ts';
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

const lane = nativeLane();
if (lane !== undefined) {
  const kind = { ownership: 'shared', reset: 'reset', asStream: 'a new one' } as const;
  wireKeepsItsPromises({ name: 'wire of the lane that has connected', make: dialledBy(lane), ...kind });
  wireKeepsItsPromises({ name: 'wire of the lane that was accepted', make: acceptedBy(lane), ...kind });
}

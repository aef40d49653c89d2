import type { Peer } from '../peer.ts';
import { apache } from './apache.ts';
import { go } from './go.ts';
import { nginx } from './nginx.ts';
import { squid } from './squid.ts';
import { tinyproxy } from './tinyproxy.ts';
import { trafficServer } from './traffic-server.ts';
import { viaduct, viaductPortable, viaductWorkers } from './viaduct.ts';

/** In the order of the table. */
export const PEERS: readonly Peer[] = [
  viaduct,
  viaductPortable,
  viaductWorkers,
  squid,
  trafficServer,
  apache,
  tinyproxy,
  go,
  nginx,
];

/** The peer that all others are compared with. */
export const REFERENCE: string = squid.name;

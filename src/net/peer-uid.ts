import type { Socket } from 'node:net';
import { loadAddon } from '../native/addon.ts';
import { descriptorOf } from './node-internals.ts';

/** The user who has connected to a Unix socket. `undefined`: not known, as where the addon is not built. */
export function peerUid(socket: Socket): number | undefined {
  const { addon } = loadAddon();
  const fd = descriptorOf(socket);
  if (addon === undefined || fd === undefined) return undefined;
  const uid = addon.peerUid(fd);
  return uid < 0 ? undefined : uid;
}

import type { Socket } from 'node:net';
import { loadAddon } from '../native/addon.ts';
import type { IpAddress } from '../protocol/addresses/ip-address.ts';
import { descriptorOf } from './node-internals.ts';

/** The user who has connected to a Unix socket. `undefined`: not known, as where the addon is not built. */
export function peerUid(socket: Socket): number | undefined {
  const { addon } = loadAddon();
  const fd = descriptorOf(socket);
  if (addon === undefined || fd === undefined) return undefined;
  const uid = addon.peerUid(fd);
  return uid < 0 ? undefined : uid;
}

/** One end of a TCP connection. */
export interface TcpEnd {
  readonly address: IpAddress;
  readonly port: number;
}

/** The user whose socket is the `from` end of a connection to `to`, or a negative errno. `undefined`: there is no addon. */
export function socketUid(from: TcpEnd, to: TcpEnd): number | undefined {
  const { addon } = loadAddon();
  return addon?.socketOwner(Buffer.from(from.address.octets), from.port, Buffer.from(to.address.octets), to.port);
}

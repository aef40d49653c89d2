import { TLSSocket } from 'node:tls';
import type { Sink } from '../../contracts/wire.ts';
import { peerCertificate } from '../../net/peer-certificate.ts';
import { tlsServerEndPoint } from '../../protocol/tls/channel-binding.ts';

/** What ties a login to the TLS connection that it goes over; `undefined`: it goes in the clear. */
export function serverEndPoint(stream: Sink): Buffer | undefined {
  const certificate = stream instanceof TLSSocket ? peerCertificate(stream) : undefined;
  return certificate && tlsServerEndPoint(certificate.raw);
}

import type { TLSSocket } from 'node:tls';
import type { SessionSecrets } from './alert.ts';

/** In the key log, which has the format of NSS: label, client random, secret. */
const LABEL = 'SERVER_TRAFFIC_SECRET_0 ';

/** The secret of one handshake, from which the keys of what this side sends are made. */
export class HandshakeSecrets {
  #secret: Buffer | undefined;

  addLine(line: Buffer): void {
    const text = line.toString('latin1').trim();
    if (text.startsWith(LABEL)) this.#secret = Buffer.from(text.slice(text.lastIndexOf(' ') + 1), 'hex');
  }

  /** `undefined`: Node has reported none. */
  of(socket: TLSSocket): SessionSecrets | undefined {
    if (this.#secret === undefined) return undefined;
    return { cipher: socket.getCipher().standardName, secret: this.#secret };
  }
}

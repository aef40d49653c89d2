import type { BytesOnWire } from '../contracts/client.ts';
import type { UpstreamBytes } from '../contracts/exchange.ts';
import type { Wire } from '../contracts/wire.ts';

/** A connection in use, and what had passed on it before. */
interface Use {
  readonly wire: Wire;
  readonly read: number;
  readonly written: number;
}

/** What one plain request moves on its upstream connections: nearly always one, and one more for each login or retry. */
export class WireMeter implements UpstreamBytes {
  #read = 0;
  #written = 0;
  #isCounted = true;
  #use: Use | undefined;
  /** Made for the second one. */
  #others: Use[] | undefined;

  begin(wire: Wire, which: 'fresh' | 'used'): void {
    const { bytesRead, bytesWritten } = wire;
    if (bytesRead === undefined || bytesWritten === undefined) {
      this.#isCounted = false;
      return;
    }
    const use = which === 'fresh' ? { wire, read: 0, written: 0 } : { wire, read: bytesRead, written: bytesWritten };
    if (this.#use === undefined) this.#use = use;
    else this.#others = [...(this.#others ?? []), use];
  }

  end(wire: Wire): void {
    if (this.#use?.wire === wire) {
      this.#add(this.#use);
      this.#use = undefined;
    }
    if (this.#others === undefined) return;
    for (const use of this.#others) if (use.wire === wire) this.#add(use);
    this.#others = this.#others.filter((use) => use.wire !== wire);
  }

  /** So far. `undefined`: on one of the connections nothing is counted. */
  get total(): BytesOnWire | undefined {
    if (!this.#isCounted) return undefined;
    const sum = { read: this.#read, written: this.#written };
    // Those that were not given back: mostly none, where the connection goes on to serve others.
    if (this.#use !== undefined) addTo(sum, this.#use);
    if (this.#others !== undefined) for (const use of this.#others) addTo(sum, use);
    return sum;
  }

  #add(use: Use): void {
    this.#read += readIn(use);
    this.#written += writtenIn(use);
  }
}

function addTo(sum: { read: number; written: number }, use: Use): void {
  sum.read += readIn(use);
  sum.written += writtenIn(use);
}
const readIn = ({ wire, read }: Use): number => (wire.bytesRead ?? 0) - read;
const writtenIn = ({ wire, written }: Use): number => (wire.bytesWritten ?? 0) - written;

import type { BytesOnWire } from '../contracts/client.ts';
import type { UpstreamBytes } from '../contracts/exchange.ts';
import type { Wire } from '../contracts/wire.ts';

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
  #uses: readonly Use[] = [];

  begin(wire: Wire, which: 'fresh' | 'used'): void {
    const { bytesRead, bytesWritten } = wire;
    if (bytesRead === undefined || bytesWritten === undefined) this.#isCounted = false;
    else if (which === 'fresh') this.#uses = [...this.#uses, { wire, read: 0, written: 0 }];
    else this.#uses = [...this.#uses, { wire, read: bytesRead, written: bytesWritten }];
  }

  end(wire: Wire): void {
    for (const use of this.#uses) if (use.wire === wire) this.#add(use);
    this.#uses = this.#uses.filter((use) => use.wire !== wire);
  }

  /** So far. `undefined`: on one of the connections nothing is counted. */
  get total(): BytesOnWire | undefined {
    if (!this.#isCounted) return undefined;
    const { read, written } = this.#uses.reduce(withUse, { read: this.#read, written: this.#written });
    return { read, written };
  }

  #add(use: Use): void {
    const { read, written } = withUse({ read: this.#read, written: this.#written }, use);
    this.#read = read;
    this.#written = written;
  }
}

const withUse = (sum: BytesOnWire, { wire, read, written }: Use): BytesOnWire => ({
  read: sum.read + (wire.bytesRead ?? 0) - read,
  written: sum.written + (wire.bytesWritten ?? 0) - written,
});

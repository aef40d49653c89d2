import type { Connection } from '../../contracts/stages.ts';
import { type SlotItem, SlotList } from '../../util/slot-list.ts';

/** A connection that knows where it is counted, until it is disposed. */
export interface CountedConnection extends Connection, SlotItem {
  /** Id of the request that it was dialled for. */
  requestId: string;
  countedIn: DialledConnections | undefined;
}

/** The TCP connections that one proxy has dialled and that still have an owner: requests, the pool, probes. */
export class DialledConnections {
  readonly #open = new SlotList<CountedConnection>();
  /** Sockets that are connecting. */
  dialling = 0;

  get size(): number {
    return this.#open.size;
  }

  add(connection: CountedConnection, requestId: string): void {
    connection.requestId = requestId;
    connection.countedIn = this;
    this.#open.add(connection);
  }

  /** It was disposed; the second time nothing happens. */
  delete(connection: CountedConnection): void {
    this.#open.delete(connection);
  }

  /** How many were dialled for requests other than these. */
  sizeWithout(requestIds: ReadonlySet<string>): number {
    let count = 0;
    for (const { requestId } of this.#open) if (!requestIds.has(requestId)) count += 1;
    return count;
  }
}

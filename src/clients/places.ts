import type { ClientInfo } from '../contracts/request.ts';
import { NO_SLOT, type SlotItem, SlotList } from '../util/slot-list.ts';
import { IdleQueue, type Queued } from './idle-queue.ts';

/** An eighth of all places is for other clients than the one that has most. */
const SHARE = 7 / 8;
/** Of so many places one client may hold. */
export const shareOf = (placesMax: number): number => Math.max(1, Math.floor(placesMax * SHARE));

/** What a connection is doing: `fresh`: it has sent no request yet; `used`: it waits for another one. */
type Activity = 'fresh' | 'used' | 'busy';

/**
 * The place that a connection takes among all, and in the list of its listener. A connection may hand it to another one,
 * e.g. when the protocol of the client has been detected.
 */
export class Place<C> implements SlotItem, Queued<Place<C>> {
  /** In the list of the listener. */
  slot: number = NO_SLOT;
  /** The connection that holds it; `undefined` until that has been made. */
  of: C | undefined;
  earlier: Place<C> | undefined;
  later: Place<C> | undefined;
  activity: Activity = 'fresh';
  /** Whose connection it is, once that was admitted. */
  client: ClientInfo | undefined;
  /** Where it is counted; `undefined` before it was taken, and once it is given back. */
  taken: { readonly places: Places<C>; readonly client: ClientPlaces<C> } | undefined;

  /** A request, or something that may become a tunnel, is under way. */
  markBusy(): void {
    this.#change('busy');
  }

  /** It waits for the next request. */
  markIdle(): void {
    this.#change('used');
  }

  #change(activity: Activity): void {
    if (this.taken === undefined) this.activity = activity;
    else this.taken.places.change(this, this.taken.client, activity);
  }
}

/** The places that one client has. */
class ClientPlaces<C> implements SlotItem {
  /** Among those with as many connections and an idle one. */
  slot: number = NO_SLOT;
  readonly block: string;
  count = 0;
  readonly fresh = new IdleQueue<Place<C>>();
  readonly used = new IdleQueue<Place<C>>();

  constructor(block: string) {
    this.block = block;
  }

  get idle(): Place<C> | undefined {
    return this.fresh.first ?? this.used.first;
  }
}

/** Clients with an idle connection, by how many connections they have. */
class ClientsByPlaces<C> {
  readonly #byCount: (SlotList<ClientPlaces<C>> | undefined)[] = [];
  /** No client here has more. */
  #most = 0;
  /** The list that became empty last: a client that opens connections moves from list to list, and mostly is alone there. */
  #spare: SlotList<ClientPlaces<C>> | undefined;

  add(client: ClientPlaces<C>): void {
    const { count } = client;
    let equals = this.#byCount[count];
    if (equals === undefined) {
      equals = this.#spare ?? new SlotList<ClientPlaces<C>>();
      this.#spare = undefined;
      this.#byCount[count] = equals;
    }
    equals.add(client);
    if (count > this.#most) this.#most = count;
  }

  delete(client: ClientPlaces<C>): void {
    const equals = this.#byCount[client.count];
    if (equals?.delete(client) !== true || equals.size > 0) return;
    // Kept, it would be 200 bytes for each connection that a client has ever had at once.
    this.#byCount[client.count] = undefined;
    this.#spare = equals;
  }

  get first(): ClientPlaces<C> | undefined {
    for (; this.#most > 0; this.#most--) {
      const first = this.#byCount[this.#most]?.first;
      if (first !== undefined) return first;
    }
    return undefined;
  }
}

/** Why there is no place: all are taken, or those that one client may have. */
export type NoPlace = 'all-taken' | 'share-taken';

/** Whether there is a place for one more connection. */
export type Space<C> =
  | { readonly at: 'free' }
  /** Once this idle connection is closed: it has lost its place already. */
  | { readonly at: 'evicted'; readonly place: Place<C> }
  | { readonly at: 'none'; readonly why: NoPlace };

const FREE = { at: 'free' } as const;

/**
 * The places of all connections to all listeners of a process, and which clients have them. One client holds seven eighths of them
 * at most, so that it cannot shut out others before it has authenticated. When all are taken, idle connections of the
 * client that has most are closed for one that has fewer.
 */
export class Places<C> {
  readonly max: number;
  readonly shareMax: number;
  readonly #clients = new Map<string, ClientPlaces<C>>();
  readonly #byPlaces = new ClientsByPlaces<C>();
  #taken = 0;

  constructor(max: number) {
    this.max = max;
    this.shareMax = shareOf(max);
  }

  get taken(): number {
    return this.#taken;
  }

  /** How many more places that client might take. */
  spare(block: string): number {
    return Math.max(0, Math.min(this.max - this.#taken, this.shareMax - (this.#clients.get(block)?.count ?? 0)));
  }

  /** Finds a place for one more connection of a client, or takes that of an idle one. */
  makePlace(block: string): Space<C> {
    const own = this.#clients.get(block);
    const held = own?.count ?? 0;
    if (own !== undefined && held >= this.shareMax) {
      // Not one that has sent nothing yet: a flood from a shared address would close those of its neighbours.
      return this.#evict(own.used.first, 'share-taken');
    }
    if (this.#taken < this.max) return FREE;
    const most = this.#byPlaces.first;
    return this.#evict(most !== undefined && most.count >= held ? most.idle : undefined, 'all-taken');
  }

  /** Counts a place as one of that client, until `release`. */
  take(place: Place<C>, block: string): void {
    let client = this.#clients.get(block);
    if (client === undefined) {
      client = new ClientPlaces<C>(block);
      this.#clients.set(block, client);
    }
    place.taken = { places: this, client };
    this.#taken += 1;
    this.#byPlaces.delete(client);
    client.count += 1;
    if (place.activity !== 'busy') client[place.activity].add(place);
    if (client.idle !== undefined) this.#byPlaces.add(client);
  }

  /** Nothing happens to a place that has been given back. */
  release(place: Place<C>): void {
    if (place.taken === undefined) return;
    const { client } = place.taken;
    place.taken = undefined;
    this.#taken -= 1;
    this.#byPlaces.delete(client);
    client.count -= 1;
    if (place.activity !== 'busy') client[place.activity].delete(place);
    if (client.count === 0) this.#clients.delete(client.block);
    else if (client.idle !== undefined) this.#byPlaces.add(client);
  }

  change(place: Place<C>, client: ClientPlaces<C>, activity: Activity): void {
    if (place.activity === activity) return;
    const hadIdle = client.idle !== undefined;
    if (place.activity !== 'busy') client[place.activity].delete(place);
    place.activity = activity;
    if (activity !== 'busy') client[activity].add(place);
    const hasIdle = client.idle !== undefined;
    if (hadIdle && !hasIdle) this.#byPlaces.delete(client);
    else if (hasIdle && !hadIdle) this.#byPlaces.add(client);
  }

  #evict(place: Place<C> | undefined, why: NoPlace): Space<C> {
    if (place === undefined) return { at: 'none', why };
    this.release(place);
    return { at: 'evicted', place };
  }
}

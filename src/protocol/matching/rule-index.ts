import type { Sliced } from '../../util/slices.ts';
import { CidrMap, type IpAddress, knownCidr } from '../addresses/ip-address.ts';
import { type AddressSense, bucketKey, HostIndex, type HostQuery, normalPattern } from './host-index.ts';
import { portRange } from './port-set.ts';

/** The conditions of a rule: all that are given must hold, each with one value of its list. */
export interface RuleConditions {
  readonly hosts?: readonly string[] | undefined;
  readonly ports?: readonly (number | string)[] | undefined;
  readonly methods?: readonly string[] | undefined;
  readonly users?: readonly string[] | undefined;
  readonly clients?: readonly string[] | undefined;
}

/** The properties of a request that rules test. Implementations parse lazily: most rules need the host alone. */
export interface RuleQuery {
  readonly host: HostQuery;
  readonly port: number;
  /** In upper case. */
  readonly method: string;
  readonly user: string;
  /** `undefined` for a client without an address: one on a Unix socket. */
  readonly client: IpAddress | undefined;
}

/** Rules, or values of one condition, between two pauses: a pause costs as much as one. */
const STEP = 16;

/** Conditions by which rules can be indexed, the usually most selective first. */
const DIMENSIONS = ['hosts', 'users', 'clients', 'ports', 'methods'] as const;
export type Dimension = (typeof DIMENSIONS)[number];

/**
 * Finds the few rules among many that may match. Each rule is indexed by one of its conditions: the one that it shares
 * with the fewest others. Ten thousand rules then cost about as much as one, whichever condition distinguishes them.
 */
export class RuleIndex {
  readonly #indexedBy: (Dimension | undefined)[] = [];
  readonly #hosts = new HostIndex();
  readonly #users = new Map<string, number[]>();
  readonly #methods = new Map<string, number[]>();
  readonly #ports = new Map<number, number[]>();
  readonly #portRanges: { readonly from: number; readonly to: number; readonly rule: number }[] = [];
  readonly #clients = new CidrMap<number>();
  #hasClients = false;
  /** Rules without a condition that can be indexed: always candidates. */
  readonly #always: number[] = [];

  private constructor() {}

  /** `senseOf` returns for the number of a rule which addresses its hosts are compared with. */
  static *build(rules: readonly RuleConditions[], senseOf: (rule: number) => AddressSense): Sliced<RuleIndex> {
    const index = new RuleIndex();
    const counts = yield* countKeys(rules);
    for (const [rule, conditions] of rules.entries()) {
      if (rule % STEP === 0) yield;
      const dimension = yield* mostSelective(conditions, counts);
      index.#indexedBy.push(dimension);
      if (dimension === 'hosts') yield* index.#addHosts(rule, conditions.hosts ?? [], senseOf(rule));
      else index.#addTo(rule, conditions, dimension);
    }
    return index;
  }

  /** The condition that is known to hold for a candidate, so that it need not be tested again. */
  indexedBy(rule: number): Dimension | undefined {
    return this.#indexedBy[rule];
  }

  /** Numbers of the rules that may match, ascending; one that is listed under several keys may come twice. */
  *candidates(query: RuleQuery): Generator<number, void> {
    const lists = this.#listsFor(query);
    const [only] = lists;
    if (lists.length === 1 && only) return yield* only;
    const heads = lists.map(() => 0);
    for (;;) {
      let lowest = Number.POSITIVE_INFINITY;
      let from = -1;
      for (let at = 0; at < lists.length; at++) {
        const rule = lists[at]?.[heads[at] ?? 0] ?? Number.POSITIVE_INFINITY;
        if (rule < lowest) [lowest, from] = [rule, at];
      }
      if (from < 0) return;
      heads[from] = (heads[from] ?? 0) + 1;
      yield lowest;
    }
  }

  #listsFor(query: RuleQuery): (readonly number[])[] {
    const { host, port, method, user } = query;
    const client = this.#hasClients ? query.client : undefined;
    const ranges = this.#portRanges.filter(({ from, to }) => from <= port && port <= to);
    const lists = [
      ...this.#hosts.find(host),
      this.#users.get(user) ?? [],
      this.#methods.get(method) ?? [],
      this.#ports.get(port) ?? [],
      ranges.map(({ rule }) => rule),
      client ? this.#clients.find(client).sort((a, b) => a - b) : [],
      this.#always,
    ];
    return lists.filter((list) => list.length > 0);
  }

  *#addHosts(rule: number, hosts: readonly string[], sense: AddressSense): Sliced<void> {
    for (let at = 0; at < hosts.length; at++) {
      if (at % STEP === STEP - 1) yield;
      this.#hosts.add(hosts[at] ?? '', rule, sense);
    }
  }

  #addTo(rule: number, conditions: RuleConditions, dimension: Exclude<Dimension, 'hosts'> | undefined): void {
    if (dimension === undefined) this.#always.push(rule);
    if (dimension === 'users') for (const user of conditions.users ?? []) push(this.#users, user, rule);
    if (dimension === 'methods')
      for (const name of conditions.methods ?? []) push(this.#methods, name.toUpperCase(), rule);
    if (dimension === 'clients') {
      this.#hasClients = true;
      for (const block of conditions.clients ?? []) this.#clients.add(knownCidr(block), rule);
    }
    if (dimension === 'ports') {
      for (const port of conditions.ports ?? []) {
        const [from, to] = portRange(port);
        if (from === to) push(this.#ports, from, rule);
        else this.#portRanges.push({ from, to, rule });
      }
    }
  }
}

/** How many rules share each key of a dimension. */
type KeyCounts = Readonly<Record<Dimension, Map<string | number, number>>>;

function* countKeys(rules: readonly RuleConditions[]): Sliced<KeyCounts> {
  const counts: KeyCounts = {
    hosts: new Map(),
    users: new Map(),
    clients: new Map(),
    ports: new Map(),
    methods: new Map(),
  };
  let keys = 0;
  for (const rule of rules) {
    for (const dimension of DIMENSIONS) {
      const values = rule[dimension];
      if (values === undefined) continue;
      const ofDimension = counts[dimension];
      for (const value of values) {
        if (++keys % STEP === 0) yield;
        const key = keyOf(dimension, value);
        ofDimension.set(key, (ofDimension.get(key) ?? 0) + 1);
      }
    }
  }
  return counts;
}

function* mostSelective(rule: RuleConditions, counts: KeyCounts): Sliced<Dimension | undefined> {
  let best: Dimension | undefined;
  let fewest = Number.POSITIVE_INFINITY;
  for (const dimension of DIMENSIONS) {
    const values: readonly (string | number)[] | undefined = rule[dimension];
    if (values === undefined) continue;
    let sharers = 0;
    // The search ends when this condition is shared by as many rules as the best one so far.
    for (let at = 0; at < values.length && sharers < fewest; at++) {
      if (at % STEP === STEP - 1) yield;
      sharers = Math.max(sharers, counts[dimension].get(keyOf(dimension, values[at] ?? '')) ?? 0);
    }
    if (sharers < fewest) [best, fewest] = [dimension, sharers];
    // No condition is more selective than one that only this rule has.
    if (fewest === 1) break;
  }
  return best;
}

/** The key under which a rule with this value is indexed. */
function keyOf(dimension: Dimension, value: string | number): string | number {
  if (dimension === 'hosts') return bucketKey(normalPattern(String(value)));
  if (dimension === 'methods') return String(value).toUpperCase();
  if (dimension !== 'ports') return value;
  const [from, to] = portRange(value);
  return from === to ? from : 'ranges';
}

function push<K>(lists: Map<K, number[]>, key: K, rule: number): void {
  const list = lists.get(key);
  if (list) list.push(rule);
  else lists.set(key, [rule]);
}

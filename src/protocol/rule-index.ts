import { type AddressSense, bucketKey, HostIndex, type HostQuery, normalPattern } from './host-index.ts';
import { CidrMap, type IpAddress, knownCidr } from './ip-address.ts';
import { portRange } from './port-set.ts';

/** What a rule asks for: all that is named, and of each one of the list. */
export interface RuleConditions {
  readonly hosts?: readonly string[] | undefined;
  readonly ports?: readonly (number | string)[] | undefined;
  readonly methods?: readonly string[] | undefined;
  readonly users?: readonly string[] | undefined;
  readonly clients?: readonly string[] | undefined;
}

/** What a request looks like to a rule. Whoever implements it parses lazily: most rules ask for the host alone. */
export interface RuleQuery {
  readonly host: HostQuery;
  readonly port: number;
  /** In upper case. */
  readonly method: string;
  readonly user: string;
  /** `undefined` for a client without an address: one on a Unix socket. */
  readonly client: IpAddress | undefined;
}

/** Conditions by which rules can be looked up, the usually most telling first. */
const DIMENSIONS = ['hosts', 'users', 'clients', 'ports', 'methods'] as const;
export type Dimension = (typeof DIMENSIONS)[number];

/**
 * Finds the few rules that may match among many. Each rule is filed under one of its conditions: the one that it
 * shares with the fewest others. Ten thousand rules then cost about as much as one, whichever condition tells them apart.
 */
export class RuleIndex {
  readonly #filed: (Dimension | undefined)[] = [];
  readonly #hosts = new HostIndex();
  readonly #users = new Map<string, number[]>();
  readonly #methods = new Map<string, number[]>();
  readonly #ports = new Map<number, number[]>();
  readonly #portRanges: { readonly from: number; readonly to: number; readonly rule: number }[] = [];
  readonly #clients = new CidrMap<number>();
  #hasClients = false;
  /** Rules without a condition to look up: always tried. */
  readonly #always: number[] = [];

  /** `senseOf` tells by the number of a rule which addresses its hosts mean. */
  constructor(rules: readonly RuleConditions[], senseOf: (rule: number) => AddressSense) {
    const crowds = countKeys(rules);
    for (const [rule, conditions] of rules.entries()) {
      const dimension = leastCrowded(conditions, crowds);
      this.#filed.push(dimension);
      this.#file(rule, conditions, dimension, senseOf(rule));
    }
  }

  /** The condition that is known to hold for a candidate, so that it need not be tested again. */
  filedUnder(rule: number): Dimension | undefined {
    return this.#filed[rule];
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

  #file(rule: number, conditions: RuleConditions, dimension: Dimension | undefined, sense: AddressSense): void {
    if (dimension === undefined) this.#always.push(rule);
    if (dimension === 'hosts') for (const host of conditions.hosts ?? []) this.#hosts.add(host, rule, sense);
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

/** How many rules share each key. */
function countKeys(rules: readonly RuleConditions[]): ReadonlyMap<string, number> {
  const crowds = new Map<string, number>();
  for (const rule of rules) {
    for (const key of DIMENSIONS.flatMap((dimension) => keysOf(rule, dimension)))
      crowds.set(key, (crowds.get(key) ?? 0) + 1);
  }
  return crowds;
}

function leastCrowded(rule: RuleConditions, crowds: ReadonlyMap<string, number>): Dimension | undefined {
  let best: Dimension | undefined;
  let fewest = Number.POSITIVE_INFINITY;
  for (const dimension of DIMENSIONS) {
    if (rule[dimension] === undefined) continue;
    const sharers = keysOf(rule, dimension).reduce((most, key) => Math.max(most, crowds.get(key) ?? 0), 0);
    if (sharers < fewest) [best, fewest] = [dimension, sharers];
  }
  return best;
}

/** What a rule would be filed under, as text. */
function keysOf(rule: RuleConditions, dimension: Dimension): string[] {
  const keyOf: Record<Dimension, (value: string | number) => string> = {
    hosts: (host) => bucketKey(normalPattern(String(host))),
    users: String,
    clients: String,
    ports: (port) => (portRange(port)[0] === portRange(port)[1] ? String(portRange(port)[0]) : 'ranges'),
    methods: (method) => String(method).toUpperCase(),
  };
  return (rule[dimension] ?? []).map((value) => `${dimension} ${keyOf[dimension](value)}`);
}

function push<K>(lists: Map<K, number[]>, key: K, rule: number): void {
  const list = lists.get(key);
  if (list) list.push(rule);
  else lists.set(key, [rule]);
}

import type { Policy } from '../contracts/policy.ts';
import type { Allow, Decision, Deny, IdentifiedRequest } from '../contracts/stages.ts';
import { CidrSet, knownCidr, parseIpWithZone } from '../protocol/addresses/ip-address.ts';
import { type AddressSense, HostIndex, hostQuery } from '../protocol/matching/host-index.ts';
import { PortSet } from '../protocol/matching/port-set.ts';
import { type Dimension, RuleIndex, type RuleQuery } from '../protocol/matching/rule-index.ts';
import type { Clock } from '../util/clock.ts';
import type { Sliced } from '../util/slices.ts';
import type { AccessConditions, AccessEntry, AccessOptions, Exposure } from './options.ts';
import { timeWindow } from './time-window.ts';

/** The name of the rule in a decision when no rule matched. */
const DEFAULT_RULE = 'default';
/** The name of the built-in rule of exposed listeners: CONNECT to port 443 only. */
const CONNECT_PORTS_RULE = 'connect-ports';
const HTTPS_PORT = 443;

type Test = (query: RequestQuery) => boolean;
interface Rule {
  readonly name: string;
  readonly verdict: 'allow' | 'deny';
  readonly effect: 'decide' | 'report';
  /** Conditions that the index does not check. */
  readonly tests: readonly Test[];
}

export interface AccessSettings {
  /** On exposed listeners CONNECT goes to port 443 only, unless a rule allows more. */
  readonly exposure: Exposure;
  readonly clock: Clock;
}

/**
 * The `access` section as a policy: the first rule that matches decides, then the default, which allows when there is
 * none. Options as `accessSchema` has checked them.
 */
export function* buildAccessPolicy(entries: AccessOptions, { exposure, clock }: AccessSettings): Sliced<Policy> {
  const conditional: AccessConditions[] = [];
  for (const { allow, deny } of entries) {
    const conditions = allow ?? deny;
    if (conditions !== undefined) conditional.push(conditions);
  }
  // The default is the last entry, so the index of a rule is that of its entry.
  const index = yield* RuleIndex.build(conditional, (at) => addressSense(entries[at]));
  const shared = new SharedTests();
  const rules: Rule[] = [];
  for (const [at, entry] of entries.entries()) {
    if (at % STEP === 0) yield;
    const tests = yield* testsFor(entry, index.indexedBy(at), shared);
    rules.push(ruleOf(entry, at, tests));
  }
  const last = rules.length > conditional.length ? rules.at(-1) : undefined;

  return {
    decide({ request, principal }: IdentifiedRequest): Decision {
      let reported: Rule | undefined;
      if (conditional.length > 0) {
        const query = new RequestQuery(request, principal.name, clock);
        for (const at of index.candidates(query)) {
          const rule = rules[at];
          if (!rule?.tests.every((test) => test(query))) continue;
          if (rule.effect === 'decide') return decision(rule.verdict, rule.name, reported);
          reported ??= rule;
        }
      }
      if (last?.effect === 'report') reported ??= last;
      else if (last?.verdict === 'deny') return decision('deny', last.name, reported);
      // An open proxy with tunnels to port 25 sends spam; a bare `default: allow` does not mean to allow that.
      if (exposure === 'exposed' && request.kind === 'tunnel' && request.target.port !== HTTPS_PORT) {
        return decision('deny', CONNECT_PORTS_RULE, reported);
      }
      return decision('allow', last?.effect === 'decide' ? last.name : DEFAULT_RULE, reported);
    },
  };
}

function decision(verdict: 'allow' | 'deny', rule: string, reported: Rule | undefined): Allow | Deny {
  const wouldDeny = reported?.verdict === 'deny' ? { wouldDeny: reported.name } : {};
  if (verdict === 'allow') return { verdict, rule, ...wouldDeny };
  const wouldAllow = reported?.verdict === 'allow' ? { wouldAllow: reported.name } : {};
  return { verdict, rule, code: 'denied', ...wouldDeny, ...wouldAllow };
}

function ruleOf(entry: AccessEntry, at: number, tests: readonly Test[]): Rule {
  const fallbackName = entry.default === undefined ? `rule ${at + 1}` : DEFAULT_RULE;
  return {
    name: entry.name ?? fallbackName,
    verdict: entry.default ?? (entry.allow ? 'allow' : 'deny'),
    effect: entry.report ? 'report' : 'decide',
    tests,
  };
}

/** The first rules, in order, as decisions name them. */
export function namesOfRules(entries: AccessOptions, max: number): Pick<Rule, 'name' | 'verdict' | 'effect'>[] {
  return entries.slice(0, max).map((entry, at) => ruleOf(entry, at, []));
}

const addressSense = (entry: AccessEntry | undefined): AddressSense => (entry?.allow ? 'written' : 'reached');

/** Rules, or conditions of one of them, between two pauses: a pause costs as much as one. */
const STEP = 16;

/** Longer lists seldom occur twice, and their keys would be long. */
const SHARED_VALUES_MAX = 16;

/** Tests of equal conditions, made once: of 100,000 rules most name the same port. */
class SharedTests {
  readonly #known = new Map<string, Test>();

  of(kind: string, values: readonly unknown[], make: () => Test): Test {
    if (values.length > SHARED_VALUES_MAX) return make();
    const key = `${kind} ${JSON.stringify(values)}`;
    const known = this.#known.get(key) ?? make();
    this.#known.set(key, known);
    return known;
  }
}

const NO_TESTS: readonly Test[] = [];

/** Tests of the conditions other than `filed`, cheap ones first. */
function* testsFor(entry: AccessEntry, filed: Dimension | undefined, shared: SharedTests): Sliced<readonly Test[]> {
  const { ports, methods, users, clients, hosts, times } = entry.allow ?? entry.deny ?? {};
  const tests: Test[] = [];
  if (ports && filed !== 'ports') tests.push(shared.of('ports', ports, () => portsTest(ports)));
  if (methods && filed !== 'methods') tests.push(shared.of('methods', methods, () => methodsTest(methods)));
  if (users && filed !== 'users') tests.push(shared.of('users', users, () => usersTest(users)));
  if (hosts && filed !== 'hosts') {
    const index = new HostIndex();
    for (const [at, host] of hosts.entries()) {
      if (at % STEP === STEP - 1) yield;
      index.add(host, 0, addressSense(entry));
    }
    tests.push((query) => index.matches(query.host));
  }
  if (clients && filed !== 'clients') {
    const set = new CidrSet();
    for (const [at, block] of clients.entries()) {
      if (at % STEP === STEP - 1) yield;
      set.add(knownCidr(block));
    }
    tests.push((query) => query.client !== undefined && set.has(query.client));
  }
  if (times) {
    const windows = times.map(timeWindow);
    tests.push((query) => windows.some((isOpen) => isOpen(query.wallMs)));
  }
  return tests.length === 0 ? NO_TESTS : tests;
}

function portsTest(ports: readonly (number | string)[]): Test {
  const set = new PortSet(ports);
  return (query) => set.has(query.port);
}

function methodsTest(methods: readonly string[]): Test {
  const set = new Set(methods.map((method) => method.toUpperCase()));
  return (query) => set.has(query.method);
}

function usersTest(users: readonly string[]): Test {
  const set = new Set(users);
  return (query) => set.has(query.user);
}

/** What rules match, computed from a request on first use. */
class RequestQuery implements RuleQuery {
  readonly host: RuleQuery['host'];
  readonly port: number;
  readonly user: string;
  readonly #request: IdentifiedRequest['request'];
  readonly #clock: Clock;
  #wallMs: number | undefined;

  constructor(request: IdentifiedRequest['request'], user: string, clock: Clock) {
    this.host = hostQuery(request.target.host);
    this.port = request.target.port;
    this.user = user;
    this.#request = request;
    this.#clock = clock;
  }

  get method(): string {
    // Methods are case-sensitive (RFC 9110 §9.1), but some origins take `post` for POST: that must not evade a rule.
    return this.#request.method.toUpperCase();
  }
  get client(): RuleQuery['client'] {
    return parseIpWithZone(this.#request.client.address);
  }
  /** The same for every rule, so that no two of them see different times. */
  get wallMs(): number {
    this.#wallMs ??= this.#clock.wallMs();
    return this.#wallMs;
  }
}

import type { Clock } from '../core/clock.ts';
import type { Policy } from '../core/contracts.ts';
import type { Allow, Decision, Deny, Identified } from '../core/stages.ts';
import { type AddressSense, HostIndex, hostQuery } from '../protocol/host-index.ts';
import { CidrSet, knownCidr, parseIpWithZone } from '../protocol/ip-address.ts';
import { PortSet } from '../protocol/port-set.ts';
import { type Dimension, RuleIndex, type RuleQuery } from '../protocol/rule-index.ts';
import type { AccessConditions, AccessEntry, AccessOptions, Exposure } from './options.ts';
import { timeWindow } from './time-window.ts';

/** The name that a decision carries when no rule matched. */
const DEFAULT_RULE = 'default';
/** The name of the rule that on exposed listeners no configuration has to write down. */
const CONNECT_PORTS_RULE = 'connect-ports';
const HTTPS_PORT = 443;

type Test = (query: RequestQuery) => boolean;
interface Rule {
  readonly name: string;
  readonly verdict: 'allow' | 'deny';
  readonly effect: 'decide' | 'report';
  /** Conditions that the index does not answer. */
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
export function accessPolicy(entries: AccessOptions, { exposure, clock }: AccessSettings): Policy {
  const conditionsOf = entries.map(({ allow, deny }) => allow ?? deny);
  const conditional = conditionsOf.filter((conditions) => conditions !== undefined);
  // The default is the last entry, so that the number of a rule is its place among the entries.
  const index = new RuleIndex(conditional, (at) => addressSense(entries[at]));
  const rules = entries.map((entry, at) => compile(entry, at, index.filedUnder(at)));
  const last = rules.length > conditional.length ? rules.at(-1) : undefined;

  return {
    decide({ request, principal }: Identified): Decision {
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
      // An open proxy that tunnels to port 25 is a spammer's; a bare `default: allow` does not ask for that.
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

function compile(entry: AccessEntry, at: number, filedUnder: Dimension | undefined): Rule {
  const conditions = { ...(entry.allow ?? entry.deny), ...(filedUnder && { [filedUnder]: undefined }) };
  const fallbackName = entry.default === undefined ? `rule ${at + 1}` : DEFAULT_RULE;
  return {
    name: entry.name ?? fallbackName,
    verdict: entry.default ?? (entry.allow ? 'allow' : 'deny'),
    effect: entry.report ? 'report' : 'decide',
    tests: testsFor(conditions, addressSense(entry)),
  };
}

const addressSense = (entry: AccessEntry | undefined): AddressSense => (entry?.allow ? 'written' : 'reached');

/** Cheap conditions first. */
function testsFor(conditions: AccessConditions, sense: AddressSense): readonly Test[] {
  const { ports, methods, users, clients, hosts, times } = conditions;
  const tests: Test[] = [];
  if (ports) {
    const set = new PortSet(ports);
    tests.push((query) => set.has(query.port));
  }
  if (methods) {
    const set = new Set(methods.map((method) => method.toUpperCase()));
    tests.push((query) => set.has(query.method));
  }
  if (users) {
    const set = new Set(users);
    tests.push((query) => set.has(query.user));
  }
  if (hosts) {
    const index = new HostIndex();
    for (const host of hosts) index.add(host, 0, sense);
    tests.push((query) => index.matches(query.host));
  }
  if (clients) {
    const set = new CidrSet(clients.map(knownCidr));
    tests.push((query) => query.client !== undefined && set.has(query.client));
  }
  if (times) {
    const windows = times.map(timeWindow);
    tests.push((query) => windows.some((isOpen) => isOpen(query.wallMs)));
  }
  return tests;
}

/** Reads off a request what rules ask for, when they ask. */
class RequestQuery implements RuleQuery {
  readonly host: RuleQuery['host'];
  readonly port: number;
  readonly user: string;
  readonly #request: Identified['request'];
  readonly #clock: Clock;
  #wallMs: number | undefined;

  constructor(request: Identified['request'], user: string, clock: Clock) {
    this.host = hostQuery(request.target.host);
    this.port = request.target.port;
    this.user = user;
    this.#request = request;
    this.#clock = clock;
  }

  get method(): string {
    // Methods are case-sensitive (RFC 9110 §9.1), but some origins take `post` for POST: a rule must not be passed so.
    return this.#request.method.toUpperCase();
  }
  get client(): RuleQuery['client'] {
    return parseIpWithZone(this.#request.client.address);
  }
  /** The same for every rule, so that no two of them judge different moments. */
  get wallMs(): number {
    this.#wallMs ??= this.#clock.wallMs();
    return this.#wallMs;
  }
}

/** Every user that a rule names, and where, so that a name that nobody has can be reported with its place. */
export function usersNamedIn(entries: AccessOptions): { user: string; path: (string | number)[] }[] {
  return entries.flatMap((entry, at) =>
    (['allow', 'deny'] as const).flatMap((verdict) =>
      (entry[verdict]?.users ?? []).map((user, nth) => ({ user, path: [at, verdict, 'users', nth] })),
    ),
  );
}

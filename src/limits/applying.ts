import { type HostQuery, hostQuery } from '../protocol/host-index.ts';
import type { IpAddress } from '../protocol/ip-address.ts';
import { RuleIndex, type RuleQuery } from '../protocol/rule-index.ts';
import type { Matcher } from './match.ts';
import type { LimitMatch } from './options.ts';
import type { Subject } from './subject.ts';

/** What may apply to some requests and not to others. */
interface Matched {
  readonly options: { readonly match?: LimitMatch | undefined };
  readonly isMeant: Matcher;
}

/** Finds the limits that apply to a request, in their order: among a thousand about as fast as among ten. */
export class Applying<L extends Matched> {
  readonly #limits: readonly L[];
  readonly #index: RuleIndex;

  constructor(limits: readonly L[]) {
    this.#limits = limits;
    this.#index = new RuleIndex(
      limits.map(({ options }) => options.match ?? {}),
      () => 'reached',
    );
  }

  to(subject: Subject): L[] {
    const found = new Set<L>();
    for (const at of this.#index.candidates(new SubjectQuery(subject))) {
      const limit = this.#limits[at];
      if (limit?.isMeant(subject)) found.add(limit);
    }
    return [...found];
  }
}

class SubjectQuery implements RuleQuery {
  readonly #subject: Subject;
  /** No limit asks for it. */
  readonly method = '';
  #host: HostQuery | undefined;

  constructor(subject: Subject) {
    this.#subject = subject;
  }

  get host(): HostQuery {
    this.#host ??= hostQuery(this.#subject.host);
    return this.#host;
  }

  get port(): number {
    return this.#subject.port;
  }

  get user(): string {
    return this.#subject.user;
  }

  get client(): IpAddress | undefined {
    return this.#subject.address;
  }
}

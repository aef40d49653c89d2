import type { StopSignal } from '../core/stop.ts';
import type { LimitsOptions } from './options.ts';
import type { Subject } from './subject.ts';

/**
 * Limits that somebody else owns, for whoever serves requests under them: the process that watches over several
 * workers, or a store that several proxies share. Requests are admitted one by one, so that numbers are exact; bytes
 * are lent in slices, so that nobody asks for every read.
 */
export interface Lender {
  /** A place for one request; disposing gives it back. Throws or rejects as a limit of this process would. */
  admit(subject: Subject, signal: StopSignal): Disposable | Promise<Disposable>;
  /** Opens the budget of one key under one limit. Whoever closes it has given back what was left. */
  account(of: AccountOf, holder: Holder): Account;
  /** Limits have changed: places that were taken while nothing counted them are counted from now on. */
  update(options: LimitsOptions): void;
}

/** Which budget: the limit as `Names` recognises it again, and whom it counts. */
export interface AccountOf {
  readonly kind: 'bandwidth' | 'quota';
  readonly limit: string;
  readonly key: string;
}

/** Bytes that are wanted besides those that were granted; the latest call counts. */
export interface Demand {
  readonly normal: number;
  /** For flows that take only what the rest leaves. */
  readonly background: number;
  /** How many flows want them: the owner shares by flows, whoever serves them. */
  readonly flows: number;
}

export interface Account extends Disposable {
  want(demand: Demand): void;
  /** Bytes that were granted and that nobody here will use soon. */
  giveBack(bytes: number): void;
}

/** Whoever holds an account, as the owner speaks to it. */
export interface Holder {
  granted(bytes: number): void;
  /** There is nothing more for so long; what was granted may be used up. */
  exhausted(forMs: number): void;
  /** Somebody else has run dry: gives up all that is not used yet. */
  recalled(): number;
}

/** A subject without what only a process that judges rules needs. */
export type SentSubject = Omit<Subject, 'address'>;

/** A refusal on its way to the process that answers the client. */
export interface SentRefusal {
  readonly code: 'over_rate' | 'at_capacity';
  readonly detail: string;
  readonly told: string | undefined;
  readonly fields: readonly (readonly [string, string])[];
}

/** What a borrower tells the owner. `n` numbers its requests, `a` its accounts. */
export type ToOwner =
  | { readonly is: 'enter'; readonly n: number; readonly subject: SentSubject }
  /** A request that was let in when nothing counted it: it counts now, whether there is room or not. */
  | { readonly is: 'present'; readonly n: number; readonly subject: SentSubject }
  /** Over, or not waited for any more. */
  | { readonly is: 'leave'; readonly n: number }
  | ({ readonly is: 'open'; readonly a: number } & AccountOf)
  | ({ readonly is: 'want'; readonly a: number } & Demand)
  | { readonly is: 'back'; readonly a: number; readonly bytes: number }
  /** The answer to a recall. */
  | { readonly is: 'yield'; readonly a: number; readonly bytes: number }
  | { readonly is: 'close'; readonly a: number };

/** What the owner tells a borrower. */
export type ToBorrower =
  | { readonly is: 'entered'; readonly n: number }
  | ({ readonly is: 'refused'; readonly n: number } & SentRefusal)
  | { readonly is: 'grant'; readonly a: number; readonly bytes: number }
  | { readonly is: 'over'; readonly a: number; readonly forMs: number }
  | { readonly is: 'recall'; readonly a: number };

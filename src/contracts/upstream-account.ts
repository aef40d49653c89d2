import type { Account } from './account.ts';
import type { AuthSchemeName } from './login-terms.ts';
import type { Secret } from './secret.ts';
import type { Hop } from './stages.ts';

/** An account at an upstream proxy. */
export interface Credential extends Account {
  readonly secret: CredentialSecret;
  /** Where it comes from, for people: `keyring`, `NTLM_CREDENTIALS`, … */
  readonly source: string;
  /** Differs when account or secret differ, and reveals neither: pools and latches are keyed by it. */
  readonly id: string;
}

/** A hash is enough for NTLM, and only for that; both are 32 hexadecimal digits. */
export type CredentialSecret =
  | { readonly kind: 'password'; readonly password: Secret }
  | { readonly kind: 'nt-hash'; readonly hash: Secret }
  /** Of this user in this domain, as they are written here: cntlm's PassNTLMv2. */
  | { readonly kind: 'ntlmv2-hash'; readonly hash: Secret };

/** Our accounts at upstream proxies, and which of them may be sent there. */
export interface CredentialStore {
  accountAt(hop: Hop): Promise<UpstreamAccount>;
}

export type UpstreamAccount =
  | {
      readonly at: 'known';
      /** Schemes that may be used, strongest first. */
      readonly schemes: readonly AuthSchemeName[];
      /** `undefined`: nothing but a Kerberos ticket could be offered. */
      readonly credential: Credential | undefined;
      /** Where an account is configured and its secret was not found: why, and what to do. A clause for people. */
      readonly missing?: string | undefined;
      /** The account for Basic, where that is another one: `BASIC_CREDENTIALS` beside it. */
      readonly basic?: Credential | undefined;
      /**
       * `at-once`: Basic goes with the first request, before the proxy has asked. `on-trial`: so too, and where that is not
       * answered the request goes again without it. Default: `when-asked`.
       */
      readonly sendsBasic?: 'at-once' | 'on-trial' | 'when-asked' | undefined;
      /** `tried-again`: no lockout is feared, and a rejected secret goes with the next request. Default: `latched`. */
      readonly afterRejection?: 'latched' | 'tried-again' | undefined;
    }
  /** The proxy is not trusted with credentials; `clientDetail` names it and the flag that would trust it. */
  | { readonly at: 'withheld'; readonly clientDetail: string };

/** What would be sent to an upstream proxy that asked, for people: no secrets. */
export type UpstreamAccountSummary =
  | {
      readonly at: 'known';
      /** `CORP\me`; `undefined`: nothing but a Kerberos ticket could be offered. */
      readonly user: string | undefined;
      readonly source: string | undefined;
      /** Why there is no `user` although an account is configured, and what to do. */
      readonly missing?: string | undefined;
      readonly schemes: readonly AuthSchemeName[];
      /** The account for Basic, where that is another one. */
      readonly basic: { readonly user: string; readonly source: string } | undefined;
      /** The proxy has rejected the secret: it is not sent there again. */
      readonly isRejected: boolean;
      /** When our Kerberos tickets run out; `undefined`: there are none, or they never do, or none would be shown. */
      readonly ticketsUntil: Date | undefined;
    }
  | { readonly at: 'withheld'; readonly clientDetail: string }
  | { readonly at: 'failed'; readonly why: string };

export interface UpstreamAccounts {
  summaryAt(hop: Hop): Promise<UpstreamAccountSummary>;
}

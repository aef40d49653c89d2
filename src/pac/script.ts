import type { NamedBy } from '../contracts/stages.ts';

/** A PAC script as it was read. */
export interface PacScript {
  readonly text: string;
  /** Its URL or path, without secrets. */
  readonly source: string;
  /** How far proxies that it names are trusted. */
  readonly namedBy: Exclude<NamedBy, 'user'>;
  /** On the proxy's clock. */
  readonly readMs: number;
}

/** `unreachable`: its server was not reached. `unusable`: the server was reached, and its response was not a script. */
export type PacFailureKind = 'unreachable' | 'unusable';

/** The current state of the PAC. */
export type PacState =
  /** No PAC is configured, and the system names none. */
  | { readonly at: 'none' }
  /** The system names proxies without a PAC: by scheme of the target, with its own list of exceptions. */
  | { readonly at: 'system-proxies'; readonly proxies: SystemProxies }
  /** `failure`: the last attempt to read it again failed, and this is the last good copy. */
  | {
      readonly at: 'script';
      readonly script: PacScript;
      readonly failure: string | undefined;
      readonly failedAs?: PacFailureKind;
    }
  /** One is configured, and neither it nor a copy of it could be read. */
  | {
      readonly at: 'unreachable';
      readonly source: string;
      readonly failure: string;
      readonly failedAs?: PacFailureKind;
    };

/** Proxies as the system's settings name them, in the form of `routes.proxy`. */
export interface SystemProxies {
  /** Where they were set: `GNOME`, `environment`, … */
  readonly source: string;
  readonly http: string | undefined;
  readonly https: string | undefined;
  /** Hosts that are reached directly, in the grammar of `NO_PROXY`. */
  readonly noProxy: readonly string[];
}

/** Reads the script and refreshes it. `state` is always available at once. */
export interface PacSource extends AsyncDisposable {
  readonly state: PacState;
  /** Resolves when the first attempt has succeeded or failed. */
  readonly ready: Promise<void>;
  /** The network changed, so the script may be another company's: reads it again at once. */
  renew(): void;
}

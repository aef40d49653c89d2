import type { NamedBy } from '../core/stages.ts';

/** A PAC script as it was read. */
export interface PacScript {
  readonly text: string;
  /** Where it comes from, without secrets: a URL or a path. */
  readonly source: string;
  /** What proxies that it names are trusted with. */
  readonly namedBy: Exclude<NamedBy, 'user'>;
  /** On the proxy's clock. */
  readonly readMs: number;
}

/** What is known of the PAC right now. */
export type PacState =
  /** No PAC is configured, and the system names none. */
  | { readonly at: 'none' }
  /** The system names proxies without a PAC: by scheme of the target, with its own list of exceptions. */
  | { readonly at: 'system-proxies'; readonly proxies: SystemProxies }
  /** `trouble`: the last attempt to fetch it again failed, and this is the last good copy. */
  | { readonly at: 'script'; readonly script: PacScript; readonly trouble: string | undefined }
  /** There should be one, and there is not even an old copy. */
  | { readonly at: 'unreachable'; readonly source: string; readonly trouble: string };

/** Proxies as the system's settings name them, in the form of `routes.proxy`. */
export interface SystemProxies {
  /** Which settings say so: `GNOME`, `environment`, … */
  readonly source: string;
  readonly http: string | undefined;
  readonly https: string | undefined;
  /** Hosts that are reached directly, in the grammar of `NO_PROXY`. */
  readonly noProxy: readonly string[];
}

/** Keeps the script. Asking it never waits; it refreshes itself. */
export interface PacSource extends AsyncDisposable {
  readonly state: PacState;
  /** Resolves when the first attempt has ended, well or not. */
  readonly ready: Promise<void>;
  /** The network changed: what was fetched may be another company's. Fetches at once. */
  renew(): void;
}

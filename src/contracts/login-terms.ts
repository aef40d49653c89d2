/** Schemes of authentication at an upstream proxy, the strongest first. */
export const AUTH_SCHEMES = ['negotiate', 'ntlm', 'digest', 'basic'] as const;
export type AuthSchemeName = (typeof AUTH_SCHEMES)[number];

/** How to log in at an upstream proxy, where that is not left to what it asks for. */
export interface LoginTerms {
  /** Schemes that may be used, the preferred one first. Absent: all, the strongest first. */
  readonly schemes?: readonly AuthSchemeName[] | undefined;
  /** Basic goes with the first request, before the proxy has asked. */
  readonly preemptive?: boolean | undefined;
  /** `false`: a rejected password is sent again with the next request. Default: it is kept back. */
  readonly latch?: boolean | undefined;
}

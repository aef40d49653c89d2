import { type FailureCode, ProxyError } from '../contracts/failure.ts';

export type RefusalCode = Extract<
  FailureCode,
  'rate_limited' | 'quota_exceeded' | 'too_many_tunnels' | 'at_capacity' | 'limits_unavailable'
>;

const REFUSAL_CODES: ReadonlySet<FailureCode> = new Set<RefusalCode>([
  'rate_limited',
  'quota_exceeded',
  'too_many_tunnels',
  'at_capacity',
  'limits_unavailable',
]);
export const isRefusalCode = (code: FailureCode): code is RefusalCode => REFUSAL_CODES.has(code);

/** A refusal by a limit. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly limit: string;
  /** Sentence for the client that names the limit. */
  readonly clientDetail: string;
  /** For the log only: the client, user or host whose budget it was. */
  readonly key: string;
  readonly retryAfterMs: number;
  /** For `RateLimit-Policy` and `RateLimit`. */
  readonly policy?: RateLimitPolicy | undefined;
}
interface RateLimitPolicy {
  readonly quota: number;
  readonly windowMs: number | undefined;
  readonly unit: 'requests' | 'content-bytes' | 'concurrent-requests';
  readonly left: number;
}

/** Largest integer of a structured field (RFC 9651 §3.3.1). */
const INTEGER_MAX = 999_999_999_999_999;
const integer = (value: number): string => String(Math.min(INTEGER_MAX, Math.max(0, Math.floor(value))));
const seconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1000));

/** A String of a structured field (RFC 9651 §3.3.3); other characters become `?`. */
const text = (value: string): string => `"${value.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`;

/**
 * The refusal as an error: `Retry-After` (RFC 9110 §10.2.3) for every client, and `RateLimit-Policy` and `RateLimit`
 * (draft-ietf-httpapi-ratelimit-headers-10 §3, §4) for programs that pace themselves.
 */
export function refusalError({ code, limit, clientDetail, key, retryAfterMs, policy }: Refusal): ProxyError {
  const retryAfter = seconds(retryAfterMs);
  const fields: [string, string][] = [['Retry-After', integer(retryAfter)]];
  if (policy) {
    const window = policy.windowMs === undefined ? '' : `;w=${integer(seconds(policy.windowMs))}`;
    fields.push(
      ['RateLimit-Policy', `${text(limit)};q=${integer(policy.quota)};qu=${text(policy.unit)}${window}`],
      ['RateLimit', `${text(limit)};r=${integer(policy.left)};t=${integer(retryAfter)}`],
    );
  }
  return new ProxyError(code, `limit ${JSON.stringify(limit)}${key === '' ? '' : ` of ${JSON.stringify(key)}`}`, {
    clientDetail,
    headers: fields,
  });
}

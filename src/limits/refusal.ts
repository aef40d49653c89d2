import { type FailureCode, ProxyError } from '../core/failure.ts';

/** What a limit says when it refuses. */
export interface Refusal {
  readonly code: Extract<FailureCode, 'over_rate' | 'at_capacity'>;
  readonly limit: string;
  /** Sentence for the client; it names the limit. */
  readonly told: string;
  /** For the log only: whose budget it was. */
  readonly key: string;
  readonly retryAfterMs: number;
  /** Of the limit: how much in which time, in which unit; absent for what is not counted over time. */
  readonly policy?: Policy | undefined;
}
interface Policy {
  readonly quota: number;
  readonly windowMs: number | undefined;
  readonly unit: 'requests' | 'content-bytes' | 'concurrent-requests';
  readonly left: number;
}

/** Largest integer of a structured field (RFC 9651 §3.3.1). */
const INTEGER_MAX = 999_999_999_999_999;
const integer = (value: number): string => String(Math.min(INTEGER_MAX, Math.max(0, Math.floor(value))));
const seconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1000));

/** A String of a structured field (RFC 9651 §3.3.3); what does not fit becomes `?`. */
const text = (value: string): string => `"${value.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`;

/**
 * The refusal as an error: `Retry-After` (RFC 9110 §10.2.3) for every client, and `RateLimit-Policy` and `RateLimit`
 * (draft-ietf-httpapi-ratelimit-headers-10 §3, §4) for programs that want to know how much of what is left.
 */
export function refused({ code, limit, told, key, retryAfterMs, policy }: Refusal): ProxyError {
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
    told,
    fields,
  });
}

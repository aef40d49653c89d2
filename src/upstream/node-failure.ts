import { type FailureCode, ProxyError } from '../contracts/failure.ts';

/** Node's and the resolver's error codes as ours; the only such table. */
const FROM_NODE: Readonly<Record<string, FailureCode>> = {
  ECONNREFUSED: 'connection_refused',
  ETIMEDOUT: 'connect_timeout',
  ETIMEOUT: 'connect_timeout',
  EHOSTUNREACH: 'host_unreachable',
  ENETUNREACH: 'host_unreachable',
  EHOSTDOWN: 'host_unreachable',
  ENETDOWN: 'host_unreachable',
  EADDRNOTAVAIL: 'host_unreachable',
  EAFNOSUPPORT: 'host_unreachable',
  EINVAL: 'host_unreachable',
  EACCES: 'host_unreachable',
  EPERM: 'host_unreachable',
  ECONNRESET: 'connect_failed',
  ECONNABORTED: 'connect_failed',
  EPIPE: 'connect_failed',
  ENOTFOUND: 'dns_failed',
  ENODATA: 'dns_failed',
  // The resolver gave up; the name may well exist.
  EAI_AGAIN: 'dns_failed',
  EAI_FAIL: 'dns_failed',
  EAI_NODATA: 'dns_failed',
  EAI_MEMORY: 'at_capacity',
  EMFILE: 'at_capacity',
  ENFILE: 'at_capacity',
  ENOBUFS: 'at_capacity',
  ENOMEM: 'at_capacity',
  // Of epoll: the user has as many watches as it may (epoll(7), max_user_watches).
  ENOSPC: 'at_capacity',
};

/** Node's code of an error, the only thing by which errors are distinguished; `''` when it has none. */
export const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** What a failed connect means. The original stays as `cause`, for the log. */
export function nodeFailure(cause: unknown, doing: string): ProxyError {
  if (cause instanceof ProxyError) return cause;
  const code = codeOf(cause);
  return new ProxyError(FROM_NODE[code] ?? 'connect_failed', code === '' ? doing : `${doing}: ${code}`, { cause });
}

/** What a failed lookup means. Name servers refuse, reset and time out as destinations do, under the same codes. */
export function lookupFailure(cause: unknown, doing: string): ProxyError {
  const failure = nodeFailure(cause, doing);
  if (failure === cause || failure.code === 'at_capacity' || failure.code === 'dns_failed') return failure;
  const code = failure.code === 'connect_timeout' ? 'dns_timeout' : 'dns_failed';
  return new ProxyError(code, failure.detail, { cause });
}

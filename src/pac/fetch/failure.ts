import { isUnreachable, ProxyError } from '../../contracts/failure.ts';
import { errorCode } from '../../util/error-code.ts';
import type { PacLocation } from '../discovery/locate.ts';
import type { PacFailureKind } from '../script.ts';

/** The failure for a message. Node gives only a code when several addresses of one host have failed. */
export function failureText(error: unknown): string {
  if (error instanceof ProxyError) return error.detail;
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '') return error.message;
  return errorCode(error) || error.name;
}

/** Node's codes for a server that was not reached; when several addresses failed, the code of the last attempt. */
const UNREACHED_BY_NODE: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENETDOWN',
  'EADDRNOTAVAIL',
]);

/** Whether the server was not reached at all, rather than that its response was unusable. */
function isUnreached(error: unknown): boolean {
  if (error instanceof ProxyError) return isUnreachable(error.code);
  return UNREACHED_BY_NODE.has(errorCode(error));
}

/**
 * How an attempt to read a script failed. A location that WPAD found may be any server of the network, so an unusable
 * response of it counts as if the server had not been reached; so does a file that cannot be read.
 */
export function failureKindOf(
  location: Pick<PacLocation, 'address' | 'isGuess'> | undefined,
  error: unknown,
): PacFailureKind {
  const isNamed = location?.address.kind === 'http' && location.isGuess !== true;
  return isNamed && !isUnreached(error) ? 'unusable' : 'unreachable';
}

import { FAILURES, isVerdictOnTarget, ProxyError } from '../../contracts/failure.ts';
import type { ResponseHead } from '../../contracts/message.ts';
import { errorsIn } from '../../protocol/http1/proxy-status.ts';

/**
 * A failure with the reason that the upstream proxy gave in `Proxy-Status` (RFC 9209), as every Viaduct does: "it responded
 * with 502" does not distinguish a name that does not exist from a certificate that is wrong. Its errors are passed on in front of
 * ours (§2), so that the reason survives any number of proxies; the names of the proxies are not disclosed (§4).
 */
export function withStatedReason(error: unknown, refusal: ResponseHead | undefined): unknown {
  if (refusal === undefined || !(error instanceof ProxyError) || !isVerdictOnTarget(error.code)) return error;
  const stated = errorsIn(refusal.headers);
  // The first is the one next to where it failed.
  const [reason] = stated;
  if (reason === undefined) return error;
  const { code, detail, clientDetail, clientMessage = FAILURES[code].clientMessage, headers } = error;
  return new ProxyError(code, `${detail} (${reason})`, {
    cause: error,
    clientMessage: `${clientMessage} Its reason: ${reason}.`,
    ...(clientDetail !== undefined && { clientDetail }),
    headers: [...headers, ['Proxy-Status', stated.map((error) => `upstream; error=${error}`).join(', ')]],
  });
}

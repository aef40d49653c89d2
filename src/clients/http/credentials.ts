import type { ClientCredentials, Headers } from '../../contracts/request.ts';
import { valuesOf } from '../../protocol/http1/header-list.ts';

/** The credentials of a request in HTTP, of any version; `undefined`: the client has sent none. */
export function credentialsIn(headers: Headers): ClientCredentials | undefined {
  const values = valuesOf(headers, 'proxy-authorization');
  return values.length === 0 ? undefined : { kind: 'authorization', values };
}

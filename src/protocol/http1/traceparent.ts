import type { Headers } from '../../contracts/request.ts';
import { valuesOf } from './header-list.ts';

/** `version-traceid-parentid-flags`; a version above 00 may have more behind it (W3C Trace Context, §2.2 and §4.3). */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/;
const ALL_ZERO = /^0+$/;

/** Id of the trace that the client's request is a part of; `undefined` where it names none, or none that is valid. */
export function traceIdOf(headers: Headers): string | undefined {
  const values = valuesOf(headers, 'traceparent');
  if (values.length !== 1) return undefined;
  const [, version, traceId = '', parentId = '', more] = TRACEPARENT.exec(values[0] ?? '') ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  return ALL_ZERO.test(traceId) || ALL_ZERO.test(parentId) ? undefined : traceId;
}

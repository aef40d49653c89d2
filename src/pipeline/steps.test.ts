import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TunnelRequest } from '../contracts/request.ts';
import type { AdmittedRequest, IdentifiedRequest, ReceivedRequest } from '../contracts/stages.ts';
import type { RecordBuilder } from './record-builder.ts';
import type { Services } from './services.ts';
import { admit, connect, identify, route } from './steps.ts';

/** Never called: that it compiles, errors included, is the test. */
export async function outOfOrder(
  received: ReceivedRequest<TunnelRequest>,
  services: Services,
  record: RecordBuilder,
): Promise<void> {
  // @ts-expect-error a request is not admitted before its user is known
  await admit(received, services, record);
  const identified: IdentifiedRequest<TunnelRequest> = await identify(received, services, record);
  // @ts-expect-error no route is looked for before the request is admitted
  await route(identified, services, record);
  const admitted: AdmittedRequest<TunnelRequest> = await admit(identified, services, record);
  // @ts-expect-error nothing is dialled before a route is known
  await connect(admitted, services, record);
}

test('the steps of a request compile in their order only', () => assert.equal(typeof outOfOrder, 'function'));

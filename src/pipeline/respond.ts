import type { LocalResponder, Responder } from '../contracts/client.ts';
import type { ProxyError } from '../contracts/failure.ts';
import type { LocalResponse } from '../contracts/message.ts';
import type { RecordBuilder } from './record-builder.ts';

/** Refuses the request. A refusal that finds no client any more is none, for the record. */
export function refuse(error: ProxyError, client: Responder, record: RecordBuilder): void {
  const sent = client.refuse(error);
  if (sent !== undefined) record.responseStarted(sent);
}

/** Sends a response of our own. One that finds no client any more is none, for the record. */
export function sendLocal(response: LocalResponse, client: LocalResponder, record: RecordBuilder): void {
  const sent = client.sendLocal(response);
  if (sent !== undefined) record.responseStarted(sent);
}

import type { Message } from '../support/http-messages.ts';
import type { Ending } from '../support/raw-client.ts';
import type { Case, Names } from './cases.ts';
import { fillIn } from './cases.ts';

/** What came of a case. */
export interface Outcome {
  /** Of the first final response; 0 for none. */
  readonly status: number;
  readonly statuses: readonly number[];
  readonly ending: Ending;
  readonly response: string;
  readonly responseHead: string;
  readonly originText: string;
  readonly originRequests: readonly Message[];
  readonly originConcurrent: number;
  readonly log: string;
}

/** Everything in an outcome that a case does not allow, in words. Empty: the case has passed. */
export function judge(one: Case, seen: Outcome, names: Names): string[] {
  const { expect } = one;
  const problems: string[] = [];
  const must = (holds: boolean, problem: string) => {
    if (!holds) problems.push(problem);
  };
  const finds = (text: string) => (pattern: string) => new RegExp(fillIn(pattern, names), 'im').test(text);
  const inOrigin = finds(seen.originText);
  const inResponse = finds(seen.response);
  const responseHas = (text: string) => seen.response.toLowerCase().includes(fillIn(text, names).toLowerCase());

  must(expect.statusOneOf.includes(seen.status), `status ${seen.status}, not one of ${expect.statusOneOf}`);
  if (expect.connectionClosed === true) must(seen.ending !== 'open', 'the connection stayed open');
  if (expect.connectionClosed === false) must(seen.ending === 'open', 'the connection was closed');
  if (expect.notForwarded === true) must(seen.originText === '', 'the origin was sent something');
  if (expect.notForwarded === false) must(seen.originText !== '', 'the origin was sent nothing');

  for (const rule of [expect, ...(seen.status === 200 && expect.ifStatus200 ? [expect.ifStatus200] : [])]) {
    for (const pattern of rule.originMustSee ?? []) must(inOrigin(pattern), `the origin did not see ${pattern}`);
    for (const pattern of rule.originMustNotSee ?? []) must(!inOrigin(pattern), `the origin saw ${pattern}`);
  }
  const heads = seen.originRequests.map(({ head }) => head).join('\r\n\r\n');
  for (const pattern of expect.originHeadMustNotSee ?? []) must(!finds(heads)(pattern), `a head had ${pattern}`);
  if (expect.originMaxRequests !== undefined) {
    const { length } = seen.originRequests;
    must(length <= expect.originMaxRequests, `the origin saw ${length} requests`);
  }
  if (expect.originMaxConcurrent !== undefined)
    must(seen.originConcurrent <= expect.originMaxConcurrent, `${seen.originConcurrent} connections at once`);
  const body = seen.originRequests[0]?.body.toString('latin1');
  if (expect.originBody !== undefined) must(body === expect.originBody, `the origin got the body ${body}`);
  if (expect.originBodyNotComplete === true)
    must(seen.originRequests[0]?.complete !== true, 'the origin saw a complete body');

  for (const text of expect.responseMustContain ?? []) must(responseHas(text), `the response has no ${text}`);
  for (const text of expect.responseMustNotContain ?? []) must(!responseHas(text), `the response has ${text}`);
  for (const text of expect.responseHeadMustNotContain ?? [])
    must(!seen.responseHead.toLowerCase().includes(text.toLowerCase()), `the response head has ${text}`);
  for (const pattern of expect.responseMustMatch ?? []) must(inResponse(pattern), `the response lacks ${pattern}`);
  for (const pattern of expect.responseMustNotMatch ?? []) must(!inResponse(pattern), `the response has ${pattern}`);
  if (expect.statusSequence !== undefined)
    must(`${seen.statuses}` === `${expect.statusSequence}`, `statuses ${seen.statuses}, not ${expect.statusSequence}`);
  for (const pattern of expect.logMustNotMatch ?? []) must(!finds(seen.log)(pattern), `the log has ${pattern}`);
  return problems;
}

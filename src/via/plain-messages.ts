import type { OutgoingRequest } from '../contracts/exchange.ts';
import { ProxyError } from '../contracts/failure.ts';
import type { ResponseHead } from '../contracts/message.ts';
import type { Authority, Body, Headers } from '../contracts/request.ts';
import { formatAuthority } from '../protocol/addresses/authority.ts';
import { printFields, tokensOf, valuesOf } from '../protocol/http1/header-list.ts';
import { endToEnd } from '../protocol/http1/hop-by-hop.ts';
import type { RequestHeadText } from '../protocol/http1/request-head.ts';
import { parseRequestTarget } from '../protocol/http1/request-target.ts';

/** Each connection of an agent has a pool of its own, so that there is one owner in it. */
const AGENT = 'agent';

/** An agent's request as it is sent on. Its `Host` is that of its target, as RFC 9112 §3.2.2 asks of absolute-form. */
export function outgoingOf(
  { method, target: written, headers }: RequestHeadText,
  to: Authority,
  body: Body | undefined,
): Omit<OutgoingRequest, 'body' | 'sendInterim'> {
  const parsed = parseRequestTarget(method, written);
  if (parsed.form === 'authority') throw new ProxyError('bad_request', 'CONNECT by an agent for plain requests');
  const target = parsed.form === 'absolute' ? parsed.target : to;
  const upgrade = upgradeOffered(headers);
  const authority = formatAuthority(target);
  const fields: [string, string][] = [
    ['Host', target.port === 80 ? authority.slice(0, -':80'.length) : authority],
    ...endToEnd(headers),
  ];
  // Meant for the proxy, which reads this request.
  for (const value of valuesOf(headers, 'proxy-authorization')) fields.push(['Proxy-Authorization', value]);
  if (body?.framing.kind === 'chunked') fields.push(['Transfer-Encoding', 'chunked']);
  for (const value of valuesOf(headers, 'content-length')) fields.push(['Content-Length', value]);
  if (upgrade !== undefined) fields.push(['Connection', 'Upgrade'], ['Upgrade', upgrade]);
  return { method, target, path: parsed.path, headers: fields, upgrade, owner: AGENT, originOwner: undefined };
}

const upgradeOffered = (headers: Headers): string | undefined =>
  tokensOf(headers, 'connection').includes('upgrade') ? tokensOf(headers, 'upgrade')[0] : undefined;

/** The head of a response with the framing that its body gets on the connection to the agent. */
export const finalHead = (head: ResponseHead, body: Body | undefined, method: string): string =>
  headText(head, [...endToEnd(head.headers), ...framingFields(head, body, method)]);

export const interimHead = (head: ResponseHead): string => headText(head, endToEnd(head.headers));

/** 101: what follows is of the other protocol (RFC 9110 §7.8). */
export const switchingHead = (head: ResponseHead): string =>
  headText(head, [
    ...endToEnd(head.headers),
    ['Connection', 'Upgrade'],
    ...valuesOf(head.headers, 'upgrade').map((value) => ['Upgrade', value] as const),
  ]);

/** Responses to HEAD and 304 carry the length that a body would have had (RFC 9110 §8.6). */
function framingFields({ status, headers }: ResponseHead, body: Body | undefined, method: string): Headers {
  switch (body?.framing.kind) {
    case 'chunked':
      return [['Transfer-Encoding', 'chunked']];
    case 'length':
      return [['Content-Length', String(body.framing.bytes)]];
    case 'until-close':
      return [['Connection', 'close']];
    default:
      return method === 'HEAD' || status === 304
        ? valuesOf(headers, 'content-length').map((value) => ['Content-Length', value] as const)
        : [];
  }
}

const headText = ({ status, reason }: ResponseHead, fields: Headers): string =>
  `HTTP/1.1 ${status} ${reason}\r\n${printFields(fields)}\r\n`;

import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { isToken } from '../credentials/admin-token.ts';
import { type CidrSet, parseIpWithZone } from '../protocol/addresses/ip-address.ts';
import { AdminError } from './admin-error.ts';

/**
 * How a request has reached us. `control`: through the Unix socket, which only this user can open: no browser and no
 * relay gets there, so neither a token nor the fields of a browser are asked for.
 */
export type Reach = 'control' | 'loopback' | 'exposed';

/** A way in, and what is known of it. */
export interface Entrance {
  readonly reach: Reach;
  readonly scheme: 'http' | 'https';
}

/** What a request is for; it decides what is asked of it. */
export type Purpose =
  /** A file of the dashboard, which carries no data. */
  | 'page'
  /** `/healthz`, `/readyz`. */
  | 'probe'
  | 'metrics'
  /** `POST /api/session`, which gives the token for a one-time code. */
  | 'session'
  | 'api';

export interface AccessRules {
  /** Sources that may connect; `undefined`: all. */
  readonly allow: CidrSet | undefined;
  readonly metrics: 'open' | 'token';
  /** Whether a host is this machine, as far as that is certain. */
  isThisMachine(host: string): boolean;
  token(): string;
}

/**
 * Refuses what this page of the contract refuses, in this order: who connects, whom the request names (a page that has
 * bound its name anew to this machine sends its own), which page sends it, how, and with what token. Each check covers
 * what another leaves open. Throws AdminError.
 */
export function checkAccess(request: IncomingMessage, purpose: Purpose, entrance: Entrance, rules: AccessRules): void {
  refuseUpgrade(request);
  if (entrance.reach === 'control') return;
  checkSource(request.socket.remoteAddress, rules.allow);
  checkHost(request, entrance, rules);
  checkPage(request, purpose, entrance);
  if (needsToken(purpose, entrance, rules)) checkToken(request.headers.authorization, rules.token());
}

function refuseUpgrade({ headers }: IncomingMessage): void {
  if (headers.upgrade === undefined && !/\bupgrade\b/i.test(headers.connection ?? '')) return;
  throw new AdminError(400, 'upgrade', 'This address speaks HTTP/1.1 alone; send the request without Upgrade.');
}

function checkSource(address: string | undefined, allow: CidrSet | undefined): void {
  if (allow === undefined) return;
  const parsed = address === undefined ? undefined : parseIpWithZone(address.replace(/^::ffff:(?=\d+\.)/, ''));
  if (parsed !== undefined && allow.has(parsed)) return;
  throw new AdminError(403, 'source', 'Your address is not in admin.allow.');
}

const WRONG_HOST = 'The Host field names another machine; use the address that Viaduct has printed.';

function checkHost(request: IncomingMessage, { reach }: Entrance, rules: AccessRules): void {
  const host = hostIn(request);
  const isOurs = host !== undefined && (reach === 'loopback' ? isLoopbackName(host) : rules.isThisMachine(host));
  if (!isOurs) throw new AdminError(403, 'host', WRONG_HOST);
}

/** Without the port: a tunnel of ssh (`-L`) has another one at its other end. */
function hostIn({ rawHeaders }: IncomingMessage): string | undefined {
  const values = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === 'host');
  const [value = ''] = values;
  const match = values.length === 1 ? /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(value) : null;
  return (match?.[1] ?? match?.[2])?.toLowerCase();
}

/** Names of this machine in a network are left out: another machine can answer for `NAME.local`. */
function isLoopbackName(host: string): boolean {
  if (host === 'localhost') return true;
  // Not 0.0.0.0, which also leads here: a page can be sent there where it may not name 127.0.0.1.
  return isIP(host) === 4 ? host.startsWith('127.') : host === '::1';
}

function checkPage({ headers, method }: IncomingMessage, purpose: Purpose, { scheme }: Entrance): void {
  const { origin } = headers;
  if (origin !== undefined && origin !== `${scheme}://${headers.host}`) {
    throw new AdminError(403, 'origin', 'Another page sends this request; only the dashboard itself may.');
  }
  const [site, mode, dest] = ['site', 'mode', 'dest'].map((name) => headers[`sec-fetch-${name}`]);
  const isRead = method === 'GET' || method === 'HEAD';
  // A link on another page may lead to the dashboard, which carries no data; a frame is another matter.
  const isLink = purpose === 'page' && isRead && mode === 'navigate' && dest === 'document';
  if (site !== undefined && site !== 'same-origin' && site !== 'none' && !isLink) {
    throw new AdminError(403, 'cross_site', 'Another site sends this request; only the dashboard itself may.');
  }
  // The dashboard loads its own files so.
  if (mode === 'no-cors' && !(purpose === 'page' && isRead && site === 'same-origin')) {
    throw new AdminError(403, 'no_cors', 'Requests of the mode no-cors are refused.');
  }
}

function needsToken(purpose: Purpose, { reach }: Entrance, { metrics }: AccessRules): boolean {
  if (purpose === 'metrics') return metrics === 'token' || reach === 'exposed';
  return purpose === 'api';
}

const HOW = 'Send Authorization: Bearer TOKEN; viaduct token prints it.';

function checkToken(field: string | undefined, token: string): void {
  const given = /^Bearer +([\x21-\x7e]+) *$/i.exec(field ?? '')?.[1];
  if (given !== undefined && isToken(given, token)) return;
  throw new AdminError(401, 'unauthorized', given === undefined ? HOW : `The token is not valid. ${HOW}`, {
    'www-authenticate': 'Bearer realm="viaduct"',
  });
}

import type { HeadStep, Step } from './steps.ts';

/** A title with the place where it is written down. Steps that open no chapter belong to the one before. */
export interface Chapter {
  readonly id: ChapterId;
  readonly title: string;
  readonly rfc: string;
}

export type ChapterId =
  | 'start'
  | 'ask-socks'
  | 'ask-tunnel'
  | 'ask-url'
  | 'ask-through-tls'
  | 'ask-through-clear'
  | 'work'
  | 'next-tls'
  | 'authentication'
  | 'next-authentication'
  | 'pass-on-tunnel'
  | 'pass-on-request'
  | 'site'
  | 'accept'
  | 'refuse'
  | 'tls'
  | 'response-of-site'
  | 'response-of-proxy'
  | 'failed';

const chapter = (id: ChapterId, title: string, rfc: string): Chapter => ({ id, title, rfc });

const WORK = chapter('work', 'The proxy decides, finds the address and connects', 'RFC 8305');
const TLS = chapter('tls', 'Inside the tunnel you start TLS with the site', 'RFC 8446 §4.1.2, RFC 6066 §3');

/** The chapter that a step belongs to; `undefined` where it only goes on. */
export function chapterOf(step: Step): Chapter | undefined {
  switch (step.kind) {
    case 'proxy-connected':
      return chapter('start', 'You connect to the proxy, not to the site', 'RFC 9110 §3.7');
    case 'socks':
      return chapter('ask-socks', 'You ask for a tunnel in SOCKS: a host and a port, no path', 'RFC 1928 §4');
    case 'decided':
    case 'routed':
    case 'dns':
    case 'dialing':
    case 'attempt-failed':
    case 'connected':
      return WORK;
    case 'secured':
      return chapter('next-tls', 'It starts TLS with the next proxy, before it asks for anything', 'RFC 9110 §4.3.4');
    case 'client-hello':
    case 'tls':
      return TLS;
    case 'failed':
      return chapter('failed', 'What went wrong', step.rfc ?? '');
    case 'head':
      return headChapter(step);
    case 'tunnel-open':
    case 'body':
    case 'done':
      return undefined;
  }
}

const AUTHENTICATION = chapter(
  'authentication',
  'Proxy authentication required: credentials are sent',
  'RFC 9110 §11.7',
);
const NEXT_AUTHENTICATION = chapter(
  'next-authentication',
  'The next proxy requires authentication: credentials are sent',
  'RFC 9110 §11.7',
);

/** Steps that belong to an open chapter about authentication: the same request again, and the connection that it is sent on. */
const AGAIN: Readonly<Partial<Record<ChapterId, readonly ChapterId[]>>> = {
  authentication: ['ask-tunnel', 'ask-url', 'start'],
  'next-authentication': ['pass-on-tunnel', 'pass-on-request', 'work', 'next-tls'],
};

/** Whether what comes next opens no chapter of its own. */
export const goesOn = (open: ChapterId | undefined, { id }: Chapter): boolean =>
  open !== undefined && (open === id || (AGAIN[open] ?? []).includes(id));

function headChapter({ mark, role, through, status, lines }: HeadStep): Chapter | undefined {
  if (role === 'interim') return undefined;
  if (through === 'hop' && status === 407) return mark === '<' ? AUTHENTICATION : NEXT_AUTHENTICATION;
  switch (mark) {
    case '>':
      if (role === 'connect') {
        return chapter('ask-tunnel', 'You ask for a tunnel: a host and a port, no path', 'RFC 9110 §9.3.6');
      }
      if (through === 'tls') {
        return chapter(
          'ask-through-tls',
          'Your request goes to the site; the proxy sees only ciphertext',
          'RFC 9112 §3.2.1',
        );
      }
      if (through === 'clear-tunnel') {
        return chapter(
          'ask-through-clear',
          'Your request goes to the site; unencrypted, so the proxy could read it',
          'RFC 9112 §3.2.1',
        );
      }
      return chapter('ask-url', 'You send the whole URL, so that the proxy knows where to go', 'RFC 9112 §3.2.2');
    case '>>':
      return role === 'connect'
        ? chapter('pass-on-tunnel', 'It sends the same request to the next proxy', 'RFC 9110 §9.3.6')
        : chapter(
            'pass-on-request',
            `It sends your request on: ${formOf(lines)}, its own Via, nothing for this hop`,
            'RFC 9110 §7.6',
          );
    case '<<':
      return role === 'connect-response' ? undefined : chapter('site', 'The site responds to the proxy', 'RFC 9112 §4');
    case '<':
      if (role === 'connect-response') return tunnelResponse(status ?? 0);
      return through === 'hop'
        ? chapter('response-of-proxy', 'The proxy responds to you', 'RFC 9110 §7.6')
        : chapter('response-of-site', 'The site responds to you', 'RFC 9112 §4');
  }
}

/** Any 2xx opens the tunnel (RFC 9110 §9.3.6); after anything else the connection is of no use (RFC 9931). */
const tunnelResponse = (status: number): Chapter =>
  status >= 200 && status < 300
    ? chapter('accept', 'It accepts: behind the blank line this connection is a tunnel', 'RFC 9110 §9.3.6')
    : chapter('refuse', 'It refuses: there is no tunnel, and the connection is closed', 'RFC 9931');

const formOf = ([start = '']: readonly string[]): string =>
  /^\S+ http:/i.test(start) ? 'the whole URL' : 'the path only';

import type { HeadSeen, Step } from './steps.ts';

/** A title with the place where it is written down. Steps that open no chapter belong to the one before. */
export interface Chapter {
  readonly id: string;
  readonly title: string;
  readonly rfc: string;
}

const chapter = (id: string, title: string, rfc: string): Chapter => ({ id, title, rfc });

const WORK = chapter('work', 'The proxy decides, finds the address and connects', 'RFC 8305');
const TLS = chapter('tls', 'Inside the tunnel you start TLS with the site', 'RFC 8446 §4.1.2, RFC 6066 §3');

/** The chapter that a step belongs to; `undefined` where it only goes on. */
export function chapterOf(step: Step): Chapter | undefined {
  switch (step.kind) {
    case 'proxy-connected':
      return chapter('start', 'You connect to the proxy, not to the site', 'RFC 9110 §3.7');
    case 'decided':
    case 'routed':
    case 'dns':
    case 'dialing':
    case 'attempt-failed':
    case 'connected':
      return WORK;
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

const WHO = chapter('who', 'It wants to know who you are, and is told', 'RFC 9110 §11.7');
const WHO_NEXT = chapter('who-next', 'The next proxy wants to know who asks, and is told', 'RFC 9110 §11.7');

/** Steps that belong to an open chapter about who asks: the same question again, and the connection that it comes on. */
const AGAIN: Readonly<Record<string, readonly string[]>> = { who: ['ask', 'start'], 'who-next': ['pass-on', 'work'] };

/** Whether what comes next opens no chapter of its own. */
export const goesOn = (open: string, { id }: Chapter): boolean => open === id || (AGAIN[open] ?? []).includes(id);

function headChapter({ mark, role, through, status, lines }: HeadSeen): Chapter | undefined {
  if (role === 'interim') return undefined;
  if (through === 'hop' && status === 407) return mark === '<' ? WHO : WHO_NEXT;
  switch (mark) {
    case '>':
      if (role === 'connect') {
        return chapter('ask', 'You ask for a tunnel: a host and a port, no path', 'RFC 9110 §9.3.6');
      }
      if (through === 'tls') {
        return chapter('ask', 'Your request goes to the site; the proxy sees only ciphertext', 'RFC 9112 §3.2.1');
      }
      if (through === 'clear-tunnel') {
        return chapter(
          'ask',
          'Your request goes to the site; unencrypted, so the proxy could read it',
          'RFC 9112 §3.2.1',
        );
      }
      return chapter('ask', 'You send the whole URL, so that the proxy knows where to go', 'RFC 9112 §3.2.2');
    case '>>':
      return role === 'connect'
        ? chapter('pass-on', 'It asks the next proxy, in the same words', 'RFC 9110 §9.3.6')
        : chapter(
            'pass-on',
            `It sends your request on: ${formOf(lines)}, its own Via, nothing for this hop`,
            'RFC 9110 §7.6',
          );
    case '<<':
      return role === 'connect-answer' ? undefined : chapter('site', 'The site answers the proxy', 'RFC 9112 §4');
    case '<':
      if (role === 'connect-answer') return tunnelAnswer(status ?? 0);
      return through === 'hop'
        ? chapter('answer', 'The proxy answers you', 'RFC 9110 §7.6')
        : chapter('answer', 'The site answers you', 'RFC 9112 §4');
  }
}

/** Any 2xx opens the tunnel (RFC 9110 §9.3.6); after anything else the connection is of no use (RFC 9931). */
const tunnelAnswer = (status: number): Chapter =>
  status >= 200 && status < 300
    ? chapter('answer', 'It says yes: behind the blank line this connection is a tunnel', 'RFC 9110 §9.3.6')
    : chapter('answer', 'It says no: there is no tunnel, and the connection is closed', 'RFC 9931');

const formOf = ([start = '']: readonly string[]): string =>
  /^\S+ http:/i.test(start) ? 'the whole URL' : 'the path only';

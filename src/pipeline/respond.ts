import type { Reply } from '../core/contracts.ts';
import { FAILURES, type ProxyError } from '../core/failure.ts';
import { proxyStatus } from '../protocol/proxy-status.ts';
import { reasonOf } from '../protocol/reasons.ts';
import { viaMember } from '../protocol/via.ts';
import type { ProxyIdentity } from './rooms.ts';

/**
 * The page that a failed request gets. Nothing of the request is echoed: what is attacker-controlled here becomes a
 * script on somebody's screen or a forged line in somebody's log.
 */
export function refusal(error: ProxyError, id: string, version: '1.0' | '1.1', identity: ProxyIdentity): Reply {
  const { status, sentence: usual } = FAILURES[error.code];
  const sentence = error.sentence ?? usual;
  const told = error.told === undefined ? '' : ` ${error.told}`;
  return {
    status,
    reason: reasonOf(status),
    headers: [
      ['Content-Type', 'text/plain; charset=utf-8'],
      ['Proxy-Status', proxyStatus(identity.name, error.code)],
      ['Via', viaMember(version, identity.pseudonym)],
      ...error.fields,
    ],
    body: `${sentence}${told}\n\n${status} ${reasonOf(status)} (${error.code}), from the proxy "${identity.name}", request ${id}.\n`,
  };
}

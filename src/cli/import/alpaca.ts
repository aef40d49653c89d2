import { accountOf } from '../../credentials/account.ts';
import { alpacaAllowlist, ntlmCredentials } from '../../credentials/environment.ts';
import type { Draft } from './draft.ts';

const STAYS = 'stays where it is: viaduct reads it as alpaca does';
/** Flags of alpaca that take a value. */
const WITH_VALUE = new Set(['l', 'p', 'C', 'd', 'u', 'proxy-auth-allowlist']);

/** A shell profile, a unit file or the like: variables of alpaca, and the lines that start it. */
export function importAlpaca(text: string, draft: Draft): void {
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*#/.test(line)) continue;
    for (const [, name = '', rest = ''] of line.matchAll(
      /\b([A-Z_]{5,}CREDENTIALS|NTLM_\w+|ALPACA_\w+)=((?:"[^"]*"|'[^']*'|[^\s;])*)/g,
    )) {
      variable(name, wordsOf(rest)[0] ?? '', at + 1, draft);
    }
    const [, words] = /(?:^|[\s;&|=/])alpaca((?:\s+-.*)?)$/.exec(line) ?? [];
    if (words) flags(wordsOf(words.replace(/\s[&;|>].*$/, '')), at + 1, draft);
  }
}

function variable(name: string, value: string, line: number, draft: Draft): void {
  switch (name) {
    case 'NTLM_CREDENTIALS': {
      const read = ntlmCredentials({ NTLM_CREDENTIALS: value });
      if (read === undefined) return draft.skip(line, name, 'is not user@DOMAIN:hash');
      draft.user ??= read.account.user;
      draft.domain ??= read.account.domain;
      return draft.skip(line, name, STAYS);
    }
    case 'BASIC_CREDENTIALS':
      return draft.skip(line, name, STAYS);
    case 'NTLM_USERNAME':
      draft.user ??= value;
      return draft.skip(line, name, `${STAYS}, with the entry "alpaca" of the keyring`);
    case 'NTLM_DOMAIN':
      draft.domain ??= value;
      return draft.skip(line, name, STAYS);
    case 'ALPACA_PROXY_AUTH_ALLOWLIST': {
      const entries = alpacaAllowlist({ ALPACA_PROXY_AUTH_ALLOWLIST: value }) ?? [];
      draft.allowProxies.push(...entries.map((entry) => (/^[.*]/.test(entry) ? entry : `.${entry}`)));
      return draft.skip(
        line,
        name,
        'its proxies stand in credentials.allow; keep the variable where all other proxies must get nothing',
      );
    }
    default:
      return draft.skip(line, name, 'is not a known variable of alpaca');
  }
}

function flags(words: readonly string[], line: number, draft: Draft): void {
  for (let at = 0; at < words.length; at++) {
    const [, name = '', inline] = /^--?([\w-]+)(?:=(.*))?$/s.exec(words[at] ?? '') ?? [];
    const value = inline ?? (WITH_VALUE.has(name) ? (words[++at] ?? '') : '');
    flag(name, value, line, draft);
  }
}

function flag(name: string, value: string, line: number, draft: Draft): void {
  switch (name) {
    case 'l':
      draft.listen.push(value);
      return draft.keepOnLoopback(line, '-l');
    case 'p':
      draft.port = value;
      return;
    case 'C':
      return draft.setPac(value, line, '-C');
    case 'd':
      draft.domain = value;
      return;
    case 'u': {
      const account = accountOf({ user: value }, '');
      draft.user = account.user;
      draft.domain ??= account.domain;
      return;
    }
    case 'no-kerberos':
      draft.kerberos = false;
      return;
    case 'proxy-auth-allowlist':
      return variable('ALPACA_PROXY_AUTH_ALLOWLIST', value, line, draft);
    case 'q':
      return draft.skip(line, '-q', 'use viaduct -q');
    case 'enable-socks':
    case 'H':
    case 'version':
    case '':
      return;
    default:
      return draft.skip(line, `-${name}`, 'is not a known flag of alpaca');
  }
}

/** Words as a shell takes them apart, without what it would put in for `$`. */
function wordsOf(text: string): string[] {
  return [...text.matchAll(/(?:"((?:\\.|[^"\\])*)"|'([^']*)'|((?:\\.|[^\s"'\\])+))+/g)].map(([whole]) =>
    whole.replace(/"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)/g, (_, double?: string, single?: string, plain?: string) =>
      double !== undefined ? double.replace(/\\(["\\$`])/g, '$1') : (single ?? plain ?? ''),
    ),
  );
}

import type { Draft } from './draft.ts';

/** A setting of `cntlm.conf`: the keyword in small letters, and its value without quotes. */
interface Entry {
  readonly line: number;
  readonly what: string;
  readonly value: string;
}
type ApplyEntry = (draft: Draft, entry: Entry) => void;

const cannot =
  (why: string): ApplyEntry =>
  (draft, { line, what }) =>
    draft.skip(line, what, why);

/** What each keyword becomes. */
const KEYWORDS: Readonly<Record<string, ApplyEntry>> = {
  username(draft, { value }) {
    // `user@domain` is how cntlm's own flag writes both.
    const [user = value, domain] = value.split('@', 2);
    draft.user = user;
    draft.domain ??= domain;
  },
  // cntlm sends it in capitals, and PassNTLMv2 is made of it so.
  domain(draft, { value }) {
    draft.domain = value.toUpperCase();
  },
  proxy: (draft, { value, line, what }) => draft.addProxy(value, line, what),
  noproxy(draft, { value, line, what }) {
    for (const one of value.split(/[\s,]+/).filter(Boolean)) draft.addNoProxy(one, line, what);
  },
  pac: (draft, { value, line, what }) => draft.setPac(value, line, what),
  listen(draft, { value, line, what }) {
    const [, host = '127.0.0.1', port] = /^(?:(.+):)?(\d{1,5})$/.exec(value) ?? [];
    if (port === undefined) draft.skip(line, what, 'is neither a port nor an address with one');
    else draft.listen.push(`${host}:${port}`);
  },
  gateway(draft, { value, line, what }) {
    if (!/^(yes|1)$/i.test(value)) return;
    const everywhere = draft.listen.map((address) => address.replace(/^127\.0\.0\.1:/, '0.0.0.0:'));
    draft.listen.splice(0, draft.listen.length, ...(everywhere.length > 0 ? everywhere : ['0.0.0.0:3128']));
    draft.keepOnLoopback(line, what);
  },
  allow: (draft, { value, line, what }) => draft.addClients(value.replace(/^0\/0$/, '0.0.0.0/0'), line, what),
  deny(draft, { value, line, what }) {
    // What is not allowed is denied anyway, once something is allowed.
    if (!/^(0\/0|0\.0\.0\.0\/0|\*)$/.test(value)) draft.skip(line, what, 'clients.allow is a list without exceptions');
  },
  auth(draft, { value, line, what }) {
    if (/^gss$/i.test(value)) draft.auth = ['negotiate'];
    else if (!/^ntlmv2$/i.test(value))
      draft.skip(line, what, 'only NTLMv2 is supported: older responses reveal the password');
  },
  password: cannot('a password is never copied'),
  passnt: cannot('a hash is as good as the password, and is never copied'),
  passntlmv2: cannot('a hash is as good as the password, and is never copied'),
  passlm: cannot('LM is not supported: it reveals the password'),
  workstation: cannot('the name of this machine is not sent'),
  flags: cannot('the flags of NTLM are chosen as the proxy offers them'),
  header: cannot('fields of requests are not rewritten'),
  tunnel: cannot('there are no fixed tunnels; programs ask with CONNECT'),
  socks5proxy: cannot('there is no SOCKS listener'),
  socks5user: cannot('there is no SOCKS listener'),
  isascannersize: cannot('pages of a virus scanner are passed on as they are'),
  isascanneragent: cannot('pages of a virus scanner are passed on as they are'),
  ntlmtobasic: cannot('credentials are sent to upstream proxies only, never to origins'),
  sspi: cannot('the session of Windows is used through Negotiate, without a setting'),
};
/** After everything that they depend on. */
const LATER = ['gateway'];

/** `cntlm.conf`: a keyword, space, and a value on each line. */
export function importCntlm(text: string, draft: Draft, file: string): void {
  const entries = text.split(/\r?\n/).flatMap((line, at): (Entry & { keyword: string })[] => {
    const [, what, quoted, bare] = /^\s*(\w+)\s+(?:"([^"]*)"|([^#]*?))\s*(?:#.*)?$/.exec(line) ?? [];
    return what === undefined ? [] : [{ keyword: what.toLowerCase(), what, value: quoted ?? bare ?? '', line: at + 1 }];
  });
  const isLater = ({ keyword }: { keyword: string }) => LATER.includes(keyword);
  for (const entry of [...entries.filter((one) => !isLater(one)), ...entries.filter(isLater)]) {
    const carry = Object.hasOwn(KEYWORDS, entry.keyword) ? KEYWORDS[entry.keyword] : undefined;
    (carry ?? cannot('is not a known setting of cntlm'))(draft, entry);
  }
  draft.keepOnLoopback(entries.find(({ keyword }) => keyword === 'listen')?.line ?? 1, 'Listen');
  secretTodo(draft, file, new Set(entries.map(({ keyword }) => keyword)));
}

/** A hash of a configuration is used as it is: it goes from file to file without being typed, or being shown. */
function secretTodo(draft: Draft, file: string, keywords: ReadonlySet<string>): void {
  const key = ['PassNT', 'PassNTLMv2'].find((one) => keywords.has(one.toLowerCase()));
  const from =
    'then write from: "file:upstream.secret" into credentials.default, with that file beside the configuration';
  if (key !== undefined) {
    const lines = `grep -iE '^[[:space:]]*${key}[[:space:]]' ${shellWord(file)}`;
    draft.todo.push(`the hash: ${lines} | viaduct login -c viaduct.yaml    (into the keyring)`);
    draft.todo.push(`or without a keyring: (umask 077; ${lines} > upstream.secret), ${from}`);
  } else if (keywords.has('username')) {
    draft.todo.push(
      'the password: viaduct login -c viaduct.yaml stores it in the keyring; else it is asked for at start',
    );
  }
}

const shellWord = (text: string): string => (/^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

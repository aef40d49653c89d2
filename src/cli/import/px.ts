import { AUTH_SCHEMES, type AuthSchemeName } from '../../contracts/login-terms.ts';
import { accountOf } from '../../credentials/account.ts';
import { quoted } from '../../util/redact.ts';
import type { Draft } from './draft.ts';

interface Entry {
  readonly line: number;
  readonly what: string;
  readonly value: string;
}
type Carry = (draft: Draft, entry: Entry) => void;

const cannot =
  (why: string): Carry =>
  (draft, { line, what }) =>
    draft.skip(line, what, why);
/** px writes its defaults into the file: they need no entry. */
const unless =
  (usual: RegExp, carry: Carry): Carry =>
  (draft, entry) => {
    if (!usual.test(entry.value)) carry(draft, entry);
  };
const nothing: Carry = () => {};
const each = (value: string): string[] =>
  value
    .split(',')
    .map((one) => one.trim())
    .filter(Boolean);

const clients = cannot('users of this proxy stand in clients.users, an htpasswd file');

const KEYS: Readonly<Record<string, Carry>> = {
  server(draft, { value, line, what }) {
    for (const one of each(value)) draft.addProxy(one, line, what);
  },
  pac: (draft, { value, line, what }) => draft.setPac(value, line, what),
  pac_encoding: unless(/^utf-?8$/i, cannot('a PAC says its encoding itself')),
  listen(draft, { value }) {
    draft.listen.push(...each(value));
  },
  port(draft, { value }) {
    draft.port = value;
  },
  allow: unless(/^\*\.\*\.\*\.\*$/, (draft, { value, line, what }) => {
    for (const one of each(value)) draft.addClients(one, line, what);
  }),
  noproxy(draft, { value, line, what }) {
    for (const one of value.split(/[\s,;]+/).filter(Boolean)) draft.addNoProxy(one, line, what);
  },
  gateway: unless(/^0$/, (draft, { line, what }) => {
    draft.listen.splice(0, draft.listen.length, '0.0.0.0');
    draft.keepOnLoopback(line, what);
  }),
  hostonly: unless(/^0$/, cannot('listen on the address of the bridge, and allow its block with clients.allow')),
  useragent: cannot('fields of requests are not rewritten'),
  username(draft, { value }) {
    const { user, domain } = accountOf({ user: value.replace(/\\\\/g, '\\') }, '');
    draft.user = user;
    draft.domain = domain;
    draft.todo.push(
      'the password: an entry "Px" of the keyring is used as it is; else viaduct login -c viaduct.yaml stores it',
    );
  },
  auth(draft, { value, line, what }) {
    const schemes = schemesOf(value.toUpperCase());
    if (schemes !== undefined) draft.auth = schemes;
    else draft.skip(line, what, `${quoted(value)} is not a known value`);
  },
  client_auth: unless(/^NONE$/i, clients),
  client_username: clients,
  client_nosspi: unless(/^0$/, clients),
  workers: cannot('one process is mostly enough; --workers N starts more'),
  threads: nothing,
  idle: unless(/^30$/, (draft, { value, line, what }) => {
    if (/^\d+$/.test(value)) draft.timeouts.idle = `${value}s`;
    else draft.skip(line, what, 'is not a number of seconds');
  }),
  socktimeout(draft, { value, line, what }) {
    if (/^\d+(\.\d+)?$/.test(value)) draft.timeouts.connect = `${Number(value)}s`;
    else draft.skip(line, what, 'is not a number of seconds');
  },
  proxyreload: cannot('a PAC and the settings of the system are read again when they or the network change'),
  foreground: nothing,
  log: unless(/^0$/, cannot('use --log or --log-file')),
};
/** After everything that they depend on. */
const LATER = ['gateway'];

/** `px.ini`: sections, and `key = value` in them. */
export function importPx(text: string, draft: Draft): void {
  const entries = text.split(/\r?\n/).flatMap((line, at): Entry[] => {
    const [, what, value] = /^\s*([\w-]+)\s*[=:]\s*(.*?)\s*$/.exec(line) ?? [];
    return what === undefined || !value ? [] : [{ what: what.toLowerCase(), value, line: at + 1 }];
  });
  const isLater = ({ what }: Entry) => LATER.includes(what);
  for (const entry of [...entries.filter((one) => !isLater(one)), ...entries.filter(isLater)]) {
    const carry = Object.hasOwn(KEYS, entry.what) ? KEYS[entry.what] : undefined;
    (carry ?? cannot('is not a known setting of px'))(draft, entry);
  }
  draft.keepOnLoopback(entries.find(({ what }) => what === 'listen')?.line ?? 1, 'listen');
}

const NAMES: Readonly<Record<string, AuthSchemeName>> = {
  NEGOTIATE: 'negotiate',
  KERBEROS: 'negotiate',
  NTLM: 'ntlm',
  DIGEST: 'digest',
  BASIC: 'basic',
};

/** `ANY`, `ANYSAFE`, one scheme, or `NO`, `SAFENO` and `ONLY` in front of one. */
function schemesOf(value: string): readonly AuthSchemeName[] | undefined {
  const safe = AUTH_SCHEMES.filter((scheme) => scheme !== 'basic');
  if (value === 'ANY') return AUTH_SCHEMES;
  if (value === 'ANYSAFE') return safe;
  const [, word = '', name = ''] = /^(NO|SAFENO|ONLY)?(.+)$/.exec(value) ?? [];
  const scheme = Object.hasOwn(NAMES, name) ? NAMES[name] : undefined;
  if (scheme === undefined) return undefined;
  if (word === 'NO') return AUTH_SCHEMES.filter((one) => one !== scheme);
  return word === 'SAFENO' ? safe.filter((one) => one !== scheme) : [scheme];
}

/** What is typed in an odd place may be a password: wherever it is repeated, it is left out. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { stringify } from 'yaml';
import { parse } from '../../src/cli/parse.ts';
import { FLAGS } from '../../src/config/flags.ts';
import { ConfigError } from '../../src/config/problems.ts';
import { settingsInForce } from '../../src/config/provenance.ts';
import { configDefaults, resolveOptions } from '../../src/config/schema.ts';
import { load } from '../../src/config/sources.ts';
import { isLong } from '../support/bulk.ts';
import { viaductEnds } from '../support/cli.ts';
import { temporaryFolder } from '../support/temporary.ts';

const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());

/** Two spellings of what must not be seen: one of them is more than letters and digits. */
const SECRETS = ['s3cr3tW0rd', 'pa%24s-w.o~rd!'];

/** Spellings of a proxy, a listener, a PAC, a user and other things that have a secret in them. */
const spellings = (s: string): readonly string[] => [
  ...[`http://me:${s}@h.example:3128`, `me:${s}@h.example`, `http://${s}@h.example`, `http://me:${s}`, `me:${s}`],
  ...[`https://me:${s} @h.example`, `http://me:${s}@h.example:99999`, `http://me:${s}@h.example:0`, `http://me:${s}@`],
  ...[`http://me:${s}@h.example/path`, `http:/me:${s}@h.example`, `http:me:${s}@h.example`, `http:me:${s}`],
  ...[`http//me:${s}@h.example`, `//me:${s}@h.example`, `ftp://me:${s}@h.example`, `socks9://me:${s}@h.example`],
  ...[`PROXY me:${s}@h.example:1; DIRECT`, `HTTP://ME:${s}@H.EXAMPLE`, `http://me:x@${s}@h.example`],
  ...[
    `http://me:${s}\\@h.example`,
    `http://me;${s}@h.example`,
    ` http://me:${s}@h.example `,
    `http://me:/${s}@h.example`,
  ],
  ...[`http://h.example/p?token=${s}`, `https://h.example/p?${s}`, `http://h.example/p#${s}`, `h.example?token=${s}`],
  ...[`file:///etc/p?token=${s}`, `unix:me:${s}@h`, `socks4://me:${s}@h.example`, `[::1]:${s}`, `http://[::1:${s}`],
  ...[`http://me:${s}@[::1`, `me:${s}:`, `:${s}`, `http://:${s}@h.example`, `http://me:${s}@h.example:80:80`],
];

/** Those that differ most, for places by the dozen. */
const fewSpellings = (s: string): readonly string[] => [
  ...[`http://me:${s}@h.example:99999`, `https://me:${s} @h.example`, `http://me:${s}`, `me:${s}`, `http:/me:${s}@h`],
  ...[`http://h.example/p?token=${s}`, `http://${s}@h.example`],
];

/** Each text with each secret in the long form, and with one of them in turn otherwise. */
function* textsWith(texts: (secret: string) => readonly string[]): Generator<readonly [secret: string, text: string]> {
  for (const [which, secret] of SECRETS.entries())
    for (const [at, text] of texts(secret).entries()) if (isLong || at % SECRETS.length === which) yield [secret, text];
}

/** Every line that `check`, `why`, `explain` or a start could print of these settings. */
function linesOf(sources: Partial<Parameters<typeof load>[0]>): readonly string[] {
  try {
    const loaded = load({ flags: [], environment: {}, isTerminal: false, ...sources });
    const shown = settingsInForce(loaded.values, configDefaults(), loaded.provenance);
    return [...loaded.notices, ...shown.flatMap(({ path, value, origin }) => [path, value, origin])];
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.lines;
  }
}
const keepsTo = (secret: string, lines: readonly string[], where: string): void => {
  for (const line of lines) assert.ok(!line.includes(secret), `${where}: ${line}`);
};

test('no flag and no variable repeats one, in any spelling', () => {
  const taking = ['listen', 'pac', 'proxy', 'noproxy', 'auth'];
  for (const [secret, text] of textsWith(spellings))
    for (const flag of FLAGS) {
      if (!taking.includes(flag.name) && !fewSpellings(secret).includes(text)) continue;
      const where = `--${flag.name} ${text}`;
      keepsTo(secret, linesOf({ flags: [{ flag, text, label: `--${flag.name}` }] }), where);
      if (!fewSpellings(secret).includes(text)) continue;
      const variable = `VIADUCT_${flag.name.toUpperCase().replaceAll('-', '_')}`;
      keepsTo(secret, linesOf({ environment: { [variable]: text } }), where);
    }
});

test('no other variable does', () => {
  for (const [secret, text] of textsWith(spellings))
    for (const name of ['NO_PROXY', 'no_proxy', 'BASIC_CREDENTIALS', 'NTLM_CREDENTIALS', 'ALPACA_PROXY_AUTH_ALLOWLIST'])
      keepsTo(secret, linesOf({ environment: { [name]: text } }), `${name}=${text}`);
});

/** Settings at every kind of place: where a text belongs, where none does, in a list, and as a key. */
const settings = (text: string): readonly unknown[] =>
  [
    ...['listen', 'port', 'open', 'clients', 'access', 'guard', 'limits', 'routes', 'upstreams', 'credentials'],
    ...['timeouts', 'workers', 'relay', 'log', 'name', 'quiet', 'reload'],
  ]
    .map((key) => ({ [key]: text }) as unknown)
    .concat([
      { listen: [text] },
      { listen: { [text]: null } },
      { clients: { allow: [text] } },
      { clients: { users: text } },
      { clients: { users: { me: text } } },
      { clients: { users: { [text]: '{SHA}TMiviCuZ0dJ1E2Y0OtYiSEIAJZQ=' } } },
      { clients: { users: { [text]: null } } },
      { clients: { users: [text] } },
      { access: [{ name: text, deny: { hosts: [text] } }] },
      { access: [{ allow: { users: [text] } }] },
      { access: [{ default: text }] },
      { guard: { deny: [text], allow: [text] } },
      { limits: { bandwidth: text, state: text } },
      { limits: { bandwidth: { per: text, rate: text } } },
      { limits: { quota: { per: 'user', bytes: text, every: text } } },
      { routes: { pac: text, pacUnreachable: text } },
      { routes: { proxy: text } },
      { routes: { proxy: [text, [text, text]] } },
      { routes: { proxy: { [text]: text } } },
      { routes: { noProxy: [text] } },
      { routes: { rules: [{ name: text, hosts: [text], via: text }] } },
      { upstreams: [{ host: text, credentials: text, auth: [text], ca: text, serverName: text }] },
      { upstreams: [{ host: 'h.example', credentials: text }] },
      { upstreams: [{ host: 'h.example', ca: text }] },
      { credentials: { corp: text } },
      { credentials: { corp: { user: 'me', from: text } } },
      { credentials: { corp: { user: 'me', from: `file:${text}` } } },
      { credentials: { corp: { user: 'me', password: text } } },
      { credentials: { corp: { user: 'me', from: { [text]: null } } } },
      { credentials: { allow: [text], kerberos: text } },
      { timeouts: { connect: text } },
      { log: { format: text, file: text } },
      { [text]: 1 },
    ]);

test('no file and no options of a program do, at any place', () => {
  const file = join(folder.path, 'viaduct.yaml');
  for (const [secret, text] of textsWith(fewSpellings))
    for (const values of settings(text)) {
      writeFileSync(file, stringify(values));
      const environment = { VIADUCT_CONFIG: file };
      const where = JSON.stringify(values);
      keepsTo(secret, linesOf({ environment }), where);
      try {
        resolveOptions(values as Parameters<typeof resolveOptions>[0]);
      } catch (error) {
        if (error instanceof ConfigError) keepsTo(secret, error.lines, where);
        else keepsTo(secret, [String(error)], where);
      }
    }
});

test('no slip in YAML repeats the line that it is in', () => {
  const file = join(folder.path, 'broken.yaml');
  for (const secret of ['s3cr3tW0rd'])
    for (const line of [
      ...[`a: *${secret}`, `a: !${secret} x`, `a: |${secret}`, `a: "\\q${secret}"`, `a: "${secret}`, `a: '${secret}`],
      ...[
        `%${secret}`,
        `a: @${secret}`,
        `a: \`${secret}`,
        `a: {${secret}`,
        `a: [${secret}`,
        `a: b: ${secret}`,
        `- ${secret}`,
      ],
      ...[`a: &${secret}`, `a: &${secret} *${secret}`, secret, `"${secret}"`, `a: b\n${secret}`, `a: [b] ${secret}`],
      ...[`a: !!${secret} x`, `<<: *${secret}`, `a: "b" ${secret}`, `{${secret}: }}`, `\t${secret}: a`],
      ...[
        `clients: { users: {me:${secret}} }`,
        `credentials: { corp: ${secret} }`,
        `clients: { users: { me: ${secret} } }`,
      ],
      ...[`a: >${secret}`, `a: ${secret}: b`, `a: 'b'${secret}`, `...\n%${secret}`, `a: !<${secret}> x`],
    ]) {
      writeFileSync(file, `${line}\n`);
      keepsTo(secret, linesOf({ environment: { VIADUCT_CONFIG: file } }), line);
    }
});

test('no command line that means nothing does', () => {
  for (const secret of SECRETS)
    for (const text of [secret, ...spellings(secret)])
      for (const words of [
        [text],
        ['-u', 'me', text],
        ['run', text],
        ['check', 'a', text],
        [`--pasword=${text}`],
        [`--${text}`],
        [`-P${text}`],
        [`-${text}`],
        ['--pasword', text],
        ['why', 'a', text],
        ['login', 'a', text],
        ['hash', text],
        ['help', text],
      ])
        try {
          parse(words);
        } catch (error) {
          // A lone word that looks like a command is repeated: it may be a typo.
          keepsTo(secret, [error instanceof Error ? error.message : String(error)], words.join(' '));
        }
});

/** Real commands: what they print besides settings, and that all above comes from the same place. */
test('no command prints one', { timeout: 240_000 }, async () => {
  const [secret = ''] = SECRETS;
  const pac = join(folder.path, 'proxy.pac');
  writeFileSync(pac, 'function FindProxyForURL(url, host) { shExpMatch(url, "*"); return "DIRECT"; }');
  const file = join(folder.path, 'users.yaml');
  writeFileSync(file, `clients:\n  users: u:${secret}\n`);
  const login = `http://me:${secret}@127.0.0.1:9`;
  const query = `http://127.0.0.1:9/p?token=${secret}`;
  const odd = [`http://me:${secret}`, `https://me:${secret} @h`, `http://me:${secret}@h:99999`, `me:${secret}@h`];
  for (const words of [
    ['check', '--pac', query],
    ['check', '-x', login, '--pac', query],
    ['check', file],
    ['run', '--listen', login],
    ['run', '--log-file', `/nowhere/me:${secret}`, '-p', '0'],
    ['why', '-x', login, query],
    ['why', '--pac', query, 'http://a.example/'],
    ['why', '--pac', pac, `http://127.0.0.1/p?token=${secret}`],
    ['why', '--pac', pac, `http://127.0.0.1/p?token=${secret}`, '--json'],
    ['why', '--as', `me:${secret}`, 'http://127.0.0.1/'],
    ['why', '--from', `me:${secret}@h`, 'http://127.0.0.1/'],
    ['explain', '-x', login, query],
    ['explain', '--json', '--pac', pac, query],
    ['explain', '--through', login, query],
    ['explain', '--method', `me:${secret}`, 'http://127.0.0.1:9/'],
    ['pac', query, 'http://a.example/'],
    ['pac', `http://me:${secret}@127.0.0.1:9/p`, 'http://a.example/'],
    ['pac', pac, query],
    ['pac', pac, login, '--json'],
    ['pac', pac, 'http://a/', '--dns', `me:${secret}@h`],
    ['pac', pac, 'http://a/', '--tz', `me:${secret}`],
    ['pac', pac, 'http://a/', '--world', `me:${secret}`],
    ['login', `me:${secret}@h`],
    ['import', `me:${secret}@h`],
    ['completion', `me:${secret}@h`],
    ['hash', '-u', `me:${secret}`, '-d', 'D'],
    ['why', '-u', `me:${secret}`, '-x', 'http://127.0.0.1:9', 'http://127.0.0.1/'],
    ['login', '-u', `me:${secret}`],
    ...odd.flatMap((text) => [
      ['check', '-x', text],
      // An address that no machine has: it does not start, also where the proxy is one.
      ['run', '-x', text, '-v', '--allow', '127.0.0.1', '--listen', '192.0.2.1:9'],
      ['why', text],
      ['explain', '-x', 'http://127.0.0.1:9', text],
      ['explain', '--through', text, 'http://127.0.0.1:9/'],
      ['pac', text, 'http://a/'],
      ['pac', pac, text],
      ['login', text],
    ]),
  ]) {
    const { code, out, err } = await viaductEnds(words, { XDG_STATE_HOME: folder.path });
    assert.ok(code !== null, words.join(' '));
    keepsTo(secret, [out, err], words.join(' '));
  }
});

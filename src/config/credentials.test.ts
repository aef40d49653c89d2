import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { CredentialsOptions } from '../credentials/options.ts';
import type { Environment } from './environment.ts';
import type { FlagValue } from './flags.ts';
import { FLAGS } from './flags.ts';
import { ConfigError } from './problems.ts';
import { settingsInForce } from './provenance.ts';
import { configDefaults } from './schema.ts';
import { type LoadedConfig, load } from './sources.ts';

const folder = mkdtempSync(join(tmpdir(), 'viaduct-credentials-'));
after(() => rmSync(folder, { recursive: true }));

function flag(name: string, text = ''): FlagValue {
  const found = FLAGS.find((one) => one.name === name);
  assert.ok(found, name);
  return { flag: found, text, label: `--${name}` };
}

function loaded(flags: readonly FlagValue[], file = '{}', environment: Environment = {}): LoadedConfig {
  const path = join(folder, 'viaduct.yaml');
  writeFileSync(path, file);
  return load({ flags: [flag('config', path), ...flags], environment, isTerminal: false });
}

const credentialsOf = (flags: readonly FlagValue[], file?: string, environment?: Environment): CredentialsOptions =>
  loaded(flags, file, environment).config.credentials;

function refusal(file: string, environment?: Environment): string {
  try {
    loaded([], file, environment);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.lines.join('\n').replaceAll(folder, '');
  }
  return assert.fail('was not refused');
}

test('nothing is configured: no account, no list, and Negotiate may be offered', () => {
  assert.deepEqual(credentialsOf([]), { accounts: {}, allow: [], kerberos: true });
});

test('flags and their variables write the default account, the list and Kerberos', () => {
  const flags = [flag('user', 'me'), flag('domain', 'CORP'), flag('credentials-for', 'a.example,.b.example')];
  const expected = { accounts: { default: { user: 'me', domain: 'CORP' } }, allow: ['a.example', '.b.example'] };
  assert.deepEqual(credentialsOf([...flags, flag('no-kerberos')]), { ...expected, kerberos: false });
  const environment = {
    VIADUCT_USER: 'me',
    VIADUCT_DOMAIN: 'CORP',
    VIADUCT_CREDENTIALS_FOR: 'a.example, .b.example',
    VIADUCT_NO_KERBEROS: '1',
  };
  assert.deepEqual(credentialsOf([], '{}', environment), { ...expected, kerberos: false });
});

test('accounts by name, with their sources; a path is relative to the file', () => {
  writeFileSync(join(folder, 'lab.secret'), 's3cret\n', { mode: 0o600 });
  const file = `
credentials:
  corp: { user: me, domain: CORP, from: keyring }
  lab: { from: "file:lab.secret" }
  env: { user: you, from: "env:LAB_PASSWORD" }
  asked: { user: 'CORP\\you', from: prompt }
  allow: [.corp.example]
`;
  assert.deepEqual(credentialsOf([flag('domain', 'D')], file, { LAB_PASSWORD: 's3cret' }), {
    accounts: {
      corp: { user: 'me', domain: 'CORP', from: { kind: 'keyring' } },
      lab: { from: { kind: 'file', path: join(folder, 'lab.secret') } },
      env: { user: 'you', from: { kind: 'env', name: 'LAB_PASSWORD' } },
      asked: { user: 'CORP\\you', from: { kind: 'prompt' } },
      default: { domain: 'D' },
    },
    allow: ['.corp.example'],
    kerberos: true,
  });
});

test('a secret that is written where its source belongs is refused and not repeated', () => {
  for (const from of ['hunter2', '"file:"', '"env:hunter2!"', '[hunter2]']) {
    const said = refusal(`credentials: { corp: { user: me, from: ${from} } }`);
    assert.match(said, /viaduct\.yaml:1: credentials\.corp\.from: is where the secret comes from/);
    assert.doesNotMatch(said, /hunter2/);
  }
  const password = refusal('credentials: { corp: { user: me, password: hunter2 } }');
  assert.match(password, /credentials\.corp\.password: no such setting/);
  assert.doesNotMatch(password, /hunter2/);
});

test('a file of secrets that cannot be used is refused with its place, and says how to mend it', () => {
  const file = 'credentials:\n  corp: { user: me, from: "file:open.secret" }\n';
  assert.equal(refusal(file), '/viaduct.yaml:2: credentials.corp.from: /open.secret does not exist');
  const path = join(folder, 'open.secret');
  writeFileSync(path, 's3cret\n');
  chmodSync(path, 0o644);
  assert.equal(
    refusal(file),
    '/viaduct.yaml:2: credentials.corp.from: /open.secret can be read by others; chmod 600 it',
  );
});

test('a variable that holds no secret is refused with its place and its name, and nothing of it is repeated', () => {
  const file = 'credentials:\n  corp: { user: me, from: "env:CORP_PW" }\n';
  const place = '/viaduct.yaml:2: credentials.corp.from: the environment variable CORP_PW';
  assert.equal(
    refusal(file, {}),
    `${place} is not set; set it where viaduct is started, or write another source of the secret`,
  );
  assert.equal(refusal(file, { CORP_PW: '' }), `${place} is empty; put the secret into it where viaduct is started`);
  assert.equal(
    refusal(file, { CORP_PW: 'hunter2\nhunter3' }),
    `${place} holds neither one line nor what viaduct hash prints`,
  );
  // Of several accounts each counts, also one that no upstream proxy has.
  const two = `${file}  lab: { user: you, from: "env:LAB_PW" }\n`;
  assert.match(refusal(two, { CORP_PW: 'pw' }), /^\/viaduct\.yaml:3: credentials\.lab\.from: .* LAB_PW is not set;/);
});

test('users, domains and lists that cannot be are refused', () => {
  assert.match(
    refusal('credentials: { corp: { user: "a\\tb" } }'),
    /credentials\.corp\.user: is not a valid user name/,
  );
  assert.match(refusal('credentials: { corp: { domain: "" } }'), /credentials\.corp\.domain: is not a valid domain/);
  assert.match(refusal('credentials: { allow: ["http://p"] }'), /credentials\.allow\[0\]: is not a valid host/);
  assert.match(refusal('credentials: { alow: [a.example] }'), /credentials\.alow: is a list/);
});

test('an upstream proxy names an account that there is, and schemes', () => {
  const file = (entry: string) => `credentials: { corp: { user: me } }\nupstreams: [{ host: p.example, ${entry} }]\n`;
  assert.deepEqual(loaded([], file('credentials: corp, auth: [ntlm, basic]')).config.upstreams, [
    { host: 'p.example', credentials: 'corp', auth: { schemes: ['ntlm', 'basic'] } },
  ]);
  assert.equal(
    refusal(file('credentials: crop')),
    '/viaduct.yaml:2: upstreams[0].credentials: credentials has no account "crop"; did you mean corp?',
  );
  assert.match(refusal(file('auth: [kerberos]')), /upstreams\[0\]\.auth\[0\]: is "kerberos"; .*write negotiate, ntlm/);
  assert.match(refusal(file('auth: [ntlm, ntlm]')), /upstreams\[0\]\.auth: names a scheme twice/);
  assert.match(refusal(file('auth: []')), /upstreams\[0\]\.auth: is empty/);
});

test('an upstream proxy says when Basic is sent, and whether a rejected password is kept back', () => {
  const file = (auth: string) => `upstreams: [{ host: p.example, auth: ${auth} }]\n`;
  assert.deepEqual(loaded([], file('{ scheme: basic, preemptive: true, latch: false }')).config.upstreams, [
    { host: 'p.example', auth: { schemes: ['basic'], preemptive: true, latch: false } },
  ]);
  assert.match(refusal(file('{ scheme: digest, preemptive: true }')), /auth: is preemptive without basic; add basic/);
  assert.match(refusal(file('{ scheme: [basic, basic] }')), /auth\.scheme: names a scheme twice/);
  assert.match(refusal(file('{ preemptiv: true }')), /auth.*preemptiv/);
});

test('what is in force shows accounts and sources, and variables without effect are reported', () => {
  const { values, provenance, notices } = loaded([flag('user', 'me')], '{}', { NTLM_CREDENTIALS: 'hunter2' });
  const shown = settingsInForce(values, configDefaults(), provenance);
  assert.deepEqual(
    shown.filter(({ path }) => path.startsWith('credentials')),
    [
      { path: 'credentials.allow', value: '[]', origin: 'default' },
      { path: 'credentials.kerberos', value: 'true', origin: 'default' },
      { path: 'credentials.default.user', value: '"me"', origin: '--user' },
    ],
  );
  assert.deepEqual(notices, ['NTLM_CREDENTIALS is ignored: it is not user@DOMAIN:hash; viaduct hash prints it']);
});

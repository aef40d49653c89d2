import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { hash as bcrypt } from '@node-rs/bcrypt';
import { atOnce } from '../util/slices.ts';
import { apr1 } from './apr1.ts';
import { loadUsers, parseHtpasswd, UsersError } from './htpasswd.ts';
import { PASSWORD_BYTES_MAX } from './lengths.ts';
import { hashOfPlain, parsePasswordHash } from './password-hash.ts';

/** Made with `htpasswd -nbm`, `-nbs`, `-nbB -C 4` of Apache 2.4 and `openssl passwd -apr1`. */
const VECTORS: readonly (readonly [password: string, hash: string])[] = [
  ['secret', '$apr1$eS5IMUwi$eY3e1QplebHK.iqFKsZnG.'],
  ['', '$apr1$OE.hd/Fk$tcDhBsuJcAHPZrqX6a5SD1'],
  ['pä ss', '$apr1$XW1XPDvh$.pQR281PiD5A9R4.RH6bN/'],
  ['x'.repeat(100), '$apr1$.EOVr3uE$FJI1KakIEn.gDbKPxImq6.'],
  ['a', '$apr1$Wy4GDSk0$1W8/SnyTbSocxt4/DkO751'],
  ['12345678901234567', '$apr1$guNXnX3A$yk5aiZy9RoATpcfCrLOkG.'],
  ['secret', '$apr1$x$12YdXEY0/hH4rDNkmZupO0'],
  ['correct horse battery staple', '$apr1$12345678$5s8zqQNNXgdW9osfkSNGf0'],
  ['secret', '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ='],
  ['', '{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk='],
  ['pä ss', '{SHA}lI0OH0WdoE/oe0HAdiHwtq5j1Ro='],
  ['secret', '$2y$04$X.EUTaKAdXBpZDx/tjUE9uHHngGkWyPkc33oVQ4pAX7caZY/ZkhKG'],
  ['secret', '$2a$04$X.EUTaKAdXBpZDx/tjUE9uHHngGkWyPkc33oVQ4pAX7caZY/ZkhKG'],
  ['secret', '$2b$04$X.EUTaKAdXBpZDx/tjUE9uHHngGkWyPkc33oVQ4pAX7caZY/ZkhKG'],
  ['pä ss', '$2y$04$DeF3M.6f1ATAXvnhx7jW7ebQitnfBir1LOIYWQupQXKM6GOUoxDaG'],
];

for (const [password, hashed] of VECTORS) {
  test(`${hashed} is ${JSON.stringify(password.slice(0, 20))} and nothing near it`, async () => {
    const { verify } = parsePasswordHash(hashed);
    assert.equal(await verify(password), true);
    for (const other of [
      `${password}x`,
      `${password}\0`,
      password.slice(0, -1),
      password.toUpperCase(),
      ` ${password}`,
    ]) {
      if (other !== password) assert.equal(await verify(other), false, JSON.stringify(other));
    }
  });
}

describe('a password', () => {
  const longest = 'ä'.repeat(PASSWORD_BYTES_MAX / 2);
  const kinds: Record<string, (password: string) => string | Promise<string>> = {
    apr1: async (password) => `$apr1$x$${await apr1(password, 'x')}`,
    SHA: (password) => `{SHA}${hash('sha1', password, 'base64')}`,
    SSHA256: hashOfPlain,
    bcrypt: (password) => bcrypt(password, { cost: 4 }),
  };
  for (const [kind, make] of Object.entries(kinds)) {
    test(`of ${PASSWORD_BYTES_MAX} bytes is compared with ${kind}, and a longer one is wrong without being hashed`, async () => {
      assert.equal(await parsePasswordHash(await make(longest)).verify(longest), true);
      // The very password that the hash was made of: only who hashes it could find it right.
      for (const tooLong of [`${longest}x`, 'x'.repeat(44_000)]) {
        assert.equal(await parsePasswordHash(await make(tooLong)).verify(tooLong), false, String(tooLong.length));
      }
    });
  }
});

const fails = (work: () => unknown, message: RegExp) =>
  assert.throws(work, (error) => {
    assert.ok(error instanceof UsersError);
    assert.match(error.message, message);
    return true;
  });

describe('an htpasswd file', () => {
  test('has one user a line, comments and empty lines apart', () => {
    const text = `\uFEFF# people\r\nalice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\r\n\r\n  bob smith:$apr1$x$12YdXEY0/hH4rDNkmZupO0  \n`;
    assert.deepEqual([...atOnce(parseHtpasswd(text, 'f')).keys()], ['alice', 'bob smith']);
  });
  const good = 'alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=';
  const wrong: Record<string, readonly [text: string, message: RegExp]> = {
    'a password in the clear': ['alice:hunter2', /^f:1: "alice" is not a valid hash .* htpasswd -B$/],
    'a crypt hash': [`${good}\nbob:iwfYMiMLLO2cs`, /^f:2: "bob" is not a valid hash .* crypt\(3\)/],
    'a SHA-512 crypt hash': [
      'bob:$6$abc$K4v3HcZ8yAmpRfxML6S46NCcqy9r4',
      /^f:1: "bob" is a hash of a kind that is not supported/,
    ],
    'an LDAP hash': ['bob:{SSHA}abcdef', /not supported/],
    'no password': ['bob:', /has no password/],
    'no colon': [`\n\n${good}\nbob`, /^f:4: has no colon/],
    'a third field, as htdigest has': ['bob:realm:0123456789abcdef', /more than one colon/],
    'a bcrypt hash cut off': ['bob:$2y$10$abc', /truncated/],
    'a bcrypt hash of an unknown kind': [
      'bob:$2x$04$X.EUTaKAdXBpZDx/tjUE9uHHngGkWyPkc33oVQ4pAX7caZY/ZkhKG',
      /unknown kind/,
    ],
    'a bcrypt hash that would take for ever': [
      'bob:$2y$31$X.EUTaKAdXBpZDx/tjUE9uHHngGkWyPkc33oVQ4pAX7caZY/ZkhKG',
      /cost 31/,
    ],
    'an apr1 hash cut off': ['bob:$apr1$x$12YdXEY0', /truncated/],
    'a name twice': [`${good}\n${good}`, /^f:2: "alice" is already on line 1/],
    'an empty name': [':{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=', /^f:1: "" is not a valid name/],
    'no user in it': ['# none\n', /^f: has no user/],
  };
  for (const [what, [text, message]] of Object.entries(wrong)) {
    test(`with ${what} is refused with its line, and without the secret`, () => {
      fails(() => atOnce(parseHtpasswd(text, 'f')), message);
      try {
        atOnce(parseHtpasswd(text, 'f'));
      } catch (error) {
        assert.doesNotMatch(inspect(error), /hunter2|iwfYMiMLLO2cs|K4v3HcZ8/);
      }
    });
  }
  test('is read from its path, and an unreadable one is named', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'viaduct-users-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'users');
    writeFileSync(path, `${good}\n`);
    assert.deepEqual([...loadUsers(path).keys()], ['alice']);
    fails(() => loadUsers(join(folder, 'none')), /none: cannot be read: there is no such file$/);
    fails(() => loadUsers(folder), /cannot be read: it is a folder$/);
  });
});

test('hashes may stand in the configuration, and a wrong one is called by its user', () => {
  assert.deepEqual([...loadUsers({ alice: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' }).keys()], ['alice']);
  assert.throws(
    () => loadUsers({ alice: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=', bob: 'hunter2' }),
    (error) => error instanceof UsersError && error.user === 'bob' && !error.message.includes('hunter2'),
  );
  fails(() => loadUsers({ 'a:b': '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' }), /colon/);
});

test('a password given as it is becomes a salted digest, the same for the life of the process', async () => {
  const hash = hashOfPlain('se:cret');
  assert.match(hash, /^\{SSHA256\}[A-Za-z0-9+/]{64}$/);
  assert.equal(hashOfPlain('se:cret'), hash);
  const users = loadUsers({ alice: hash });
  assert.equal(await users.get('alice')?.verify('se:cret'), true);
  assert.equal(await users.get('alice')?.verify('se'), false);
  assert.equal(await users.get('alice')?.verify(''), false);
});

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { temporaryFolder } from '../../test/support/temporary.ts';
import { ProxyError } from '../contracts/failure.ts';
import { Secret } from '../contracts/secret.ts';
import type { NamedBy } from '../contracts/stages.ts';
import type { UpstreamAccount } from '../contracts/upstream-account.ts';
import { parseProxyUrl } from '../protocol/routes/proxy-url.ts';
import { parseRoutes } from '../protocol/routes/route-text.ts';
import { accountsNeedingPrompt } from './accounts-needing-prompt.ts';
import { type CredentialStoreDeps, type CredentialStoreOptions, credentialStore } from './credential-store.ts';
import { type Environment, suspiciousCredentials } from './environment.ts';
import type { Keyring } from './keyring/keyring.ts';
import { loginFile, recordLogin } from './login-record.ts';
import { type CredentialsInput, credentialsSchema } from './options.ts';

const HASH = '0123456789abcdef0123456789abcdef';

/** A keyring of `service/entry` to secret; `locked` while it returns nothing. */
class TableKeyring implements Keyring {
  readonly entries = new Map<string, string>();
  readonly asked: string[] = [];
  locked = false;

  async find(service: string, entry: string) {
    this.asked.push(`${service}/${entry}`);
    if (this.locked) return { at: 'unavailable', why: 'the keyring is locked' } as const;
    const text = this.entries.get(`${service}/${entry}`);
    return text === undefined ? ({ at: 'absent' } as const) : ({ at: 'found', secret: new Secret(text) } as const);
  }
  async store() {
    return { at: 'done' } as const;
  }
  async remove() {
    return { at: 'done' } as const;
  }
}

interface World extends Partial<Omit<CredentialStoreDeps, 'environment' | 'clock'>> {
  readonly credentials?: CredentialsInput;
  readonly upstreams?: CredentialStoreOptions['upstreams'];
  readonly environment?: Environment;
  readonly clock?: ManualClock;
}

const optionsOf = ({ credentials = {}, upstreams = [] }: World): CredentialStoreOptions => ({
  ...credentialsSchema.parse(credentials),
  upstreams,
});
const depsOf = ({ environment = {}, clock = new ManualClock(), ...given }: World): CredentialStoreDeps => ({
  clock,
  environment,
  keyring: new TableKeyring(),
  loginFile: undefined,
  loginName: 'login-name',
  prompted: new Map(),
  startedMs: clock.wallMs(),
  ...given,
});

const storeIn = (world: World) => {
  const store = credentialStore(optionsOf(world), depsOf(world));
  return (url: string, namedBy: NamedBy = 'user') => store.accountAt(parseProxyUrl(url, namedBy));
};

/** `user@domain secret from source: schemes`. */
function summary(account: UpstreamAccount): string {
  if (account.at === 'withheld') return 'withheld';
  const { credential, schemes, basic } = account;
  const who = (one: typeof credential) => {
    if (one === undefined) return 'none';
    const secret = one.secret.kind === 'password' ? one.secret.password : one.secret.hash;
    return `${one.user}@${one.domain ?? ''} ${secret.reveal()} from ${one.source}`;
  };
  return `${who(credential)}${basic === undefined ? '' : `, in Basic ${who(basic)}`}: ${schemes.join(' ')}`;
}

test('nothing is known: only a ticket could be offered', async () => {
  assert.equal(summary(await storeIn({})('http://p:1')), 'none: negotiate');
  assert.equal(summary(await storeIn({ credentials: { kerberos: false } })('http://p:1')), 'none: ');
});

test('the login in a URL comes first', async () => {
  const at = storeIn({ environment: { NTLM_CREDENTIALS: `me@CORP:${HASH}` } });
  assert.equal(
    summary(await at('http://CORP%5Cyou:p%40ss@p:1')),
    'you@CORP p@ss from URL of the proxy: negotiate ntlm digest basic',
  );
});

test('a login in the URL of a proxy on https: or on this machine is sent at once, any other when the proxy asks; an entry of `upstreams` can change that', async () => {
  const at = storeIn({
    upstreams: [
      { host: 'asks.example', auth: { preemptive: false } },
      { host: 'eager.example', auth: { preemptive: true, latch: false } },
      { host: 'named.example', auth: { schemes: ['digest', 'basic'] } },
    ],
    environment: {},
  });
  const terms = async (url: string) => {
    const account = await at(url);
    return account.at === 'known'
      ? [account.sendsBasic ?? 'when-asked', account.afterRejection ?? 'latched']
      : [account.at];
  };
  for (const url of [
    'https://me:pw@p.example:1',
    'http://me:pw@127.0.0.1:1',
    'http://me:pw@127.8.9.10:1',
    'http://me:pw@[::1]:1',
    'http://me:pw@[::ffff:127.0.0.1]:1',
    'http://me:pw@LocalHost:1',
    'http://me:pw@localhost.:1',
  ]) {
    assert.deepEqual(await terms(url), ['on-trial', 'latched'], url);
  }
  for (const url of [
    'http://127.0.0.1:1',
    'http://me:pw@10.0.0.1:1',
    'http://me:pw@0.0.0.0:1',
    'http://me:pw@128.0.0.1:1',
    'http://me:pw@localhost.example:1',
    'http://me:pw@127.0.0.1.example:1',
  ]) {
    assert.deepEqual(await terms(url), ['when-asked', 'latched'], url);
  }
  assert.deepEqual(await terms('https://p.example:1'), ['when-asked', 'latched']);
  assert.deepEqual(await terms('http://me:pw@p.example:1'), ['when-asked', 'latched']);
  assert.deepEqual(await terms('https://me:pw@asks.example:1'), ['when-asked', 'latched']);
  assert.deepEqual(await terms('https://me:pw@named.example:1'), ['when-asked', 'latched']);
  assert.deepEqual(await terms('http://me:pw@eager.example:1'), ['at-once', 'tried-again']);
});

test('behind another proxy 127.0.0.1 is that one’s machine: a login is not sent there unrequested', async () => {
  const store = credentialStore(optionsOf({}), depsOf({}));
  const sendsBasic = async (...chain: string[]) => {
    const [route] = parseRoutes([chain], 'user');
    const accounts = route?.via === 'proxies' ? await Promise.all(route.hops.map((hop) => store.accountAt(hop))) : [];
    return accounts.map((account) => account.at === 'known' && account.sendsBasic);
  };
  const near = 'http://me:pw@127.0.0.1:1';
  assert.deepEqual(await sendsBasic(near, near, 'https://me:pw@localhost:1'), ['on-trial', 'when-asked', 'on-trial']);
});

test('each proxy has the account of its entry, in its order of schemes; the first entry holds', async () => {
  const at = storeIn({
    credentials: {
      one: { user: 'CORP\\one', from: 'env:ONE' },
      two: { user: 'two', domain: 'LAB', from: 'env:TWO' },
    },
    upstreams: [
      { host: 'a.example', credentials: 'one', auth: { schemes: ['basic', 'ntlm'] } },
      { host: '.example', credentials: 'two' },
      { host: '*', auth: { schemes: ['ntlm'] } },
    ],
    environment: { ONE: 'first', TWO: `PassNT ${HASH.toUpperCase()}`, NTLM_CREDENTIALS: `me@CORP:${HASH}` },
  });
  assert.equal(summary(await at('http://A.example:1')), 'one@CORP first from env:ONE: basic ntlm');
  assert.equal(summary(await at('http://b.example:1')), `two@LAB ${HASH} from env:TWO: negotiate ntlm`);
  assert.equal(summary(await at('http://10.0.0.1:1')), `me@CORP ${HASH} from NTLM_CREDENTIALS: ntlm`);
});

test("Alpaca's variables: the hash for NTLM, the login for Basic alone, both at once", async () => {
  const ntlm = { NTLM_CREDENTIALS: `me@CORP:${HASH}` };
  const basic = { BASIC_CREDENTIALS: 'you:pass:word' };
  const plain = { credentials: { kerberos: false } };
  assert.equal(
    summary(await storeIn({ ...plain, environment: ntlm })('http://p:1')),
    `me@CORP ${HASH} from NTLM_CREDENTIALS: ntlm`,
  );
  assert.equal(
    summary(await storeIn({ ...plain, environment: basic })('http://p:1')),
    'none, in Basic you@ pass:word from BASIC_CREDENTIALS: basic',
  );
  assert.equal(
    summary(await storeIn({ ...plain, environment: { ...ntlm, ...basic } })('http://p:1')),
    `me@CORP ${HASH} from NTLM_CREDENTIALS, in Basic you@ pass:word from BASIC_CREDENTIALS: ntlm basic`,
  );
});

test('variables that have no effect are reported, without their values', () => {
  const notices = suspiciousCredentials({ NTLM_CREDENTIALS: 's3cret', BASIC_CREDENTIALS: 's3cret' });
  assert.equal(notices.length, 2);
  assert.doesNotMatch(notices.join(), /s3cret/);
  assert.match(
    suspiciousCredentials({ NTLM_USERNAME: 'a:b' }).join(),
    /^NTLM_USERNAME is ignored: a user name has no colon/,
  );
  assert.deepEqual(suspiciousCredentials({ NTLM_CREDENTIALS: `a@b:${HASH}`, BASIC_CREDENTIALS: 'a:b' }), []);
});

test('entries that Alpaca and px have stored are found', async () => {
  const keyring = new TableKeyring();
  keyring.entries.set('alpaca/me', "alpaca's").set('Px/CORP\\you', "px's");
  const environment = { NTLM_USERNAME: 'me', NTLM_DOMAIN: 'CORP' };
  const all = 'negotiate ntlm digest basic';
  assert.equal(
    summary(await storeIn({ keyring, environment })('http://p:1')),
    `me@CORP alpaca's from keyring (alpaca): ${all}`,
  );
  const px = storeIn({ keyring, environment, credentials: { default: { user: 'CORP\\you', from: 'keyring' } } });
  assert.equal(summary(await px('http://p:1')), `you@CORP px's from keyring (Px): ${all}`);
  assert.deepEqual(
    keyring.asked.filter((entry) => entry.startsWith('alpaca/')),
    ['alpaca/me'],
    'the password of one account is never tried for another',
  );
});

test('a password that was typed for one user is not sent for the user that a reload puts in the same account', async () => {
  const prompted = new Map([['CORP\\me', new Secret('typed')]]);
  const at = async (user: string) =>
    summary(
      await storeIn({ prompted, credentials: { default: { user, domain: 'CORP' }, kerberos: false } })('http://p:1'),
    );
  assert.equal(await at('me'), 'me@CORP typed from prompt: ntlm digest basic');
  assert.doesNotMatch(await at('other'), /typed/);
});

test('-u and -d: a hash in the environment, then the keyring, then what was typed', async () => {
  const keyring = new TableKeyring();
  const prompted = new Map([['CORP\\me', new Secret('typed')]]);
  const credentials = { default: { user: 'me', domain: 'CORP' }, kerberos: false };
  const base = { keyring, prompted, credentials };
  assert.equal(summary(await storeIn(base)('http://p:1')), 'me@CORP typed from prompt: ntlm digest basic');
  keyring.entries.set('viaduct/CORP\\me', 'kept');
  assert.equal(summary(await storeIn(base)('http://p:1')), 'me@CORP kept from keyring: ntlm digest basic');
  const others = { NTLM_CREDENTIALS: `other@CORP:${HASH}` };
  assert.equal(
    summary(await storeIn({ ...base, environment: others })('http://p:1')),
    'me@CORP kept from keyring: ntlm digest basic',
  );
  const own = { NTLM_CREDENTIALS: `ME@corp:${HASH}` };
  assert.equal(
    summary(await storeIn({ ...base, environment: own })('http://p:1')),
    `ME@CORP ${HASH} from NTLM_CREDENTIALS: ntlm`,
  );
  const nameless = { ...base, credentials: { default: { domain: 'CORP' } }, loginName: 'me' };
  assert.match(summary(await storeIn(nameless)('http://p:1')), /^me@CORP kept/);
});

test('only accounts in use that have no secret are asked for', async () => {
  const keyring = new TableKeyring();
  keyring.entries.set('viaduct/kept', 'x');
  const world: World = {
    keyring,
    credentials: {
      default: { user: 'CORP\\me' },
      asks: { user: 'a', from: 'prompt' },
      kept: { user: 'kept' },
      never: { user: 'n', from: 'keyring' },
      unused: { user: 'u', from: 'prompt' },
    },
    upstreams: ['asks', 'kept', 'never'].map((credentials) => ({ host: `${credentials}.example`, credentials })),
  };
  assert.deepEqual(await accountsNeedingPrompt(optionsOf(world), depsOf(world)), [
    { name: 'default', label: 'CORP\\me' },
    { name: 'asks', label: 'a' },
  ]);
  const hash = { ...world, environment: { NTLM_CREDENTIALS: `me@CORP:${HASH}` } };
  assert.deepEqual(
    (await accountsNeedingPrompt(optionsOf(hash), depsOf(hash))).map(({ name }) => name),
    ['asks'],
  );
});

test('a proxy that an untrusted PAC names gets nothing, not even a ticket, until it is listed', async () => {
  const credentials = { default: { user: 'me', from: 'env:PW' } } as const;
  const environment = { PW: 'secret' };
  const at = storeIn({ credentials, environment });
  const withheld = await at('http://proxy.corp.example:8080', 'untrusted-pac');
  assert.equal(
    withheld.at === 'withheld' && withheld.clientDetail,
    'http://proxy.corp.example:8080 gets no credentials: it is named by a PAC that came over plain http: or by WPAD, which anyone on the network could have written. If it is yours, start viaduct with --credentials-for proxy.corp.example',
  );
  assert.equal((await at('http://me:pw@p:1', 'untrusted-pac')).at, 'withheld');
  assert.equal((await at('http://p:1', 'pac')).at, 'known');
  assert.equal((await at('http://p:1', 'user')).at, 'known');

  for (const [allow, host] of [
    ['.corp.example', 'proxy.corp.example'],
    ['.corp.example', 'CORP.example'],
    ['corp.example', 'proxy.corp.example'],
    ['*', 'anything'],
    ['10.0.0.0/8', '10.1.2.3'],
    ['2001:db8::1', '[2001:db8::1]'],
  ] as const) {
    const listed = storeIn({ credentials: { ...credentials, allow: [allow] }, environment });
    assert.equal((await listed(`http://${host}:1`, 'untrusted-pac')).at, 'known', `${allow} and ${host}`);
    assert.equal((await listed('http://evilcorp.example:1', 'untrusted-pac')).at, allow === '*' ? 'known' : 'withheld');
    // The list adds to the proxies that the user and a trusted PAC name.
    assert.equal((await listed('http://elsewhere:1', 'user')).at, 'known');
    assert.equal((await listed('http://elsewhere:1', 'pac')).at, 'known');
  }
});

test("Alpaca's list also takes away, as it does there: from what a PAC names, and not from what the user named", async () => {
  const at = storeIn({ environment: { ALPACA_PROXY_AUTH_ALLOWLIST: ' .corp.example., vendor.example ,' } });
  assert.equal((await at('http://a.corp.example:1', 'untrusted-pac')).at, 'known');
  assert.equal((await at('http://a.vendor.example:1', 'untrusted-pac')).at, 'known');
  const outside = await at('http://other.example:1', 'pac');
  assert.match(outside.at === 'withheld' ? outside.clientDetail : '', /ALPACA_PROXY_AUTH_ALLOWLIST does not list it/);
  assert.equal((await at('http://other.example:1', 'user')).at, 'known');
  const open = storeIn({ environment: { ALPACA_PROXY_AUTH_ALLOWLIST: '*' } });
  assert.equal((await open('http://other.example:1', 'untrusted-pac')).at, 'known');
});

test('an id differs with account and secret, is the same otherwise, and is new in each store', async () => {
  const idOf = async (at: ReturnType<typeof storeIn>, url: string) => {
    const account = await at(url);
    assert.ok(account.at === 'known' && account.credential !== undefined);
    return account.credential.id;
  };
  const at = storeIn({});
  const id = await idOf(at, 'http://me:secret@a:1');
  assert.match(id, /^[\w-]{22}$/);
  assert.equal(await idOf(at, 'http://me:secret@b:2'), id);
  const others = ['http://me:Secret@a:1', 'http://you:secret@a:1', 'http://D%5Cme:secret@a:1'];
  const ids = await Promise.all(others.map((url) => idOf(at, url)));
  assert.equal(new Set([id, ...ids]).size, 4);
  assert.notEqual(await idOf(storeIn({}), 'http://me:secret@a:1'), id);
});

test('a file is read again when it changes, and refused when others can read it', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'secret');
  const clock = new ManualClock();
  const at = storeIn({ clock, credentials: { default: { user: 'me', from: `file:${path}` }, kerberos: false } });
  const failure = async (): Promise<string> => {
    clock.advance(1000);
    const error: unknown = await at('http://p:1').catch((cause: unknown) => cause);
    assert.ok(error instanceof ProxyError && error.code === 'upstream_auth_failed');
    assert.equal(error.clientDetail, error.detail.replace(path, 'The file with the secret of me').concat('.'));
    return error.detail.replace(path, 'it');
  };
  assert.equal(await failure(), 'it does not exist');

  writeFileSync(path, 'first\n', { mode: 0o600 });
  assert.equal(summary(await at('http://p:1')), `me@ first from file:${path}: ntlm digest basic`);
  writeFileSync(path, `# of cntlm\nPassNTLMv2      ${HASH.toUpperCase()}    # Only for user 'me'\n`);
  assert.match(summary(await at('http://p:1')), /^me@ first/);
  clock.advance(1000);
  assert.equal(summary(await at('http://p:1')), `me@ ${HASH} from file:${path}: ntlm`);

  chmodSync(path, 0o640);
  assert.equal(await failure(), 'it can be read by others; chmod 600 it');
  chmodSync(path, 0o600);
  writeFileSync(path, 'two\nlines\n');
  assert.equal(await failure(), 'it holds neither one line nor what viaduct hash prints');
  rmSync(path);
  mkdirSync(path);
  assert.equal(await failure(), 'it is not a regular file');
});

test('while a file is being written the earlier secret is used, and never half of the new one', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'secret');
  const clock = new ManualClock();
  /** Writes as of now, on the clock of the test. */
  const write = (text: string): void => {
    writeFileSync(path, text, { mode: 0o600 });
    utimesSync(path, clock.wallMs() / 1000, clock.wallMs() / 1000);
  };
  write('first\n');
  const at = storeIn({ clock, credentials: { default: { user: 'me', from: `file:${path}` }, kerberos: false } });
  const first = `me@ first from file:${path}: ntlm digest basic`;
  assert.equal(summary(await at('http://p:1')), first);
  for (const half of ['', 'sec']) {
    clock.advance(1000);
    write(half);
    assert.equal(summary(await at('http://p:1')), first);
  }
  clock.advance(400);
  write('second\n');
  clock.advance(600);
  assert.equal(summary(await at('http://p:1')), first);
  clock.advance(1000);
  assert.equal(summary(await at('http://p:1')), `me@ second from file:${path}: ntlm digest basic`);
  // One that stays empty is none.
  write('');
  clock.advance(1000);
  await assert.rejects(at('http://p:1'), /holds neither one line/);
});

test('a keyring is asked every 30 s at most, once for all requests that wait, and its last secret is used while it is locked', async () => {
  const keyring = new TableKeyring();
  const clock = new ManualClock();
  keyring.entries.set('viaduct/me', 'old');
  const at = storeIn({ clock, keyring, credentials: { default: { user: 'me', from: 'keyring' } } });
  const all = await Promise.all(Array.from({ length: 100 }, () => at('http://p:1')));
  assert.equal(new Set(all.map(summary)).size, 1);
  assert.deepEqual(keyring.asked, ['viaduct/me']);

  keyring.entries.set('viaduct/me', 'new');
  clock.advance(29_999);
  assert.match(summary(await at('http://p:1')), /^me@ old/);
  clock.advance(1);
  assert.match(summary(await at('http://p:1')), /^me@ new/);
  keyring.locked = true;
  clock.advance(30_000);
  assert.match(summary(await at('http://p:1')), /^me@ new/);
  keyring.locked = false;
  keyring.entries.clear();
  clock.advance(30_000);
  assert.match(summary(await at('http://p:1')), /^none/);
});

test('an account whose secret is not found is named, with where it was looked for and what to do', async () => {
  const keyring = new TableKeyring();
  const missingOf = async (from: 'keyring' | 'env:LAB_PASSWORD') => {
    const account = await storeIn({ keyring, credentials: { default: { user: 'CORP\\me', from } } })('http://p:1');
    return account.at === 'known' ? account.missing : undefined;
  };
  assert.equal(await missingOf('keyring'), 'the keyring has no password of CORP\\me: use viaduct login');
  keyring.locked = true;
  assert.equal(
    await missingOf('keyring'),
    'the keyring cannot be asked for the password of CORP\\me (the keyring is locked): viaduct login says more',
  );
  assert.equal(
    await missingOf('env:LAB_PASSWORD'),
    'the variable LAB_PASSWORD has no password of CORP\\me: start viaduct with it',
  );
  keyring.locked = false;
  keyring.entries.set('viaduct/CORP\\me', 'secret');
  assert.equal(await missingOf('keyring'), undefined);
});

test('viaduct login is noticed within a second, and gives even the same password another id', async () => {
  using folder = temporaryFolder();
  const file = loginFile(join(folder.path, 'state'));
  const keyring = new TableKeyring();
  const clock = new ManualClock();
  const prompted = new Map([['me', new Secret('wrong')]]);
  const world: World = { clock, keyring, prompted, loginFile: file, credentials: { default: { user: 'me' } } };
  const at = storeIn(world);
  const now = async () => {
    const account = await at('http://p:1');
    assert.ok(account.at === 'known' && account.credential !== undefined);
    return { id: account.credential.id, is: summary(account) };
  };
  const first = await now();
  assert.match(first.is, /^me@ wrong from prompt/);

  // The keyring has it, without a record of a login: 30 s have not passed.
  keyring.entries.set('viaduct/me', 'right');
  clock.advance(1000);
  assert.equal((await now()).id, first.id);
  await recordLogin(file, { user: 'me', domain: undefined }, undefined, clock.wallMs());
  clock.advance(1000);
  const second = await now();
  assert.match(second.is, /^me@ right from keyring/);

  await recordLogin(file, { user: 'me', domain: undefined }, undefined, clock.wallMs());
  utimesSync(file, 1, 1);
  clock.advance(1000);
  const third = await now();
  assert.equal(third.is, second.is);
  assert.notEqual(third.id, second.id);

  // The login of another account changes nothing.
  await recordLogin(file, { user: 'other', domain: 'X' }, undefined, clock.wallMs());
  clock.advance(1000);
  assert.equal((await now()).id, third.id);
});

test('a login later than the start comes before the hash in the environment', async () => {
  using folder = temporaryFolder();
  const file = loginFile(folder.path);
  const keyring = new TableKeyring();
  const clock = new ManualClock();
  keyring.entries.set('viaduct/CORP\\me', 'new');
  const environment = { NTLM_CREDENTIALS: `me@CORP:${HASH}` };
  const at = storeIn({ clock, keyring, environment, loginFile: file });
  assert.match(summary(await at('http://p:1')), /from NTLM_CREDENTIALS/);
  clock.advance(5000);
  await recordLogin(file, { user: 'me', domain: 'CORP' }, undefined, clock.wallMs());
  assert.match(summary(await at('http://p:1')), /^me@CORP new from keyring/);
});

test('the account of the last login is used at proxies that have none', async () => {
  using folder = temporaryFolder();
  const file = loginFile(folder.path);
  const keyring = new TableKeyring();
  const clock = new ManualClock();
  const at = storeIn({ clock, keyring, loginFile: file });
  assert.match(summary(await at('http://p:1')), /^none/);
  keyring.entries.set('viaduct/CORP\\me', 'secret');
  const me = { user: 'me', domain: 'CORP' };
  await recordLogin(file, me, me, clock.wallMs());
  clock.advance(1000);
  assert.match(summary(await at('http://p:1')), /^me@CORP secret from keyring/);
  writeFileSync(file, 'nonsense');
  clock.advance(1000);
  assert.match(summary(await at('http://p:1')), /^none/);
});

test('no secret appears in printed values', async () => {
  const accounts = await Promise.all([
    storeIn({ environment: { BASIC_CREDENTIALS: 'me:s3cret', NTLM_CREDENTIALS: `me@CORP:${HASH}` } })('http://p:1'),
    storeIn({})('http://me:s3cret@p:1'),
  ]);
  const shown = [inspect(accounts, { depth: 9, showHidden: true }), JSON.stringify(accounts), String(accounts)].join();
  assert.doesNotMatch(shown, new RegExp(`s3cret|${HASH}`));
});

/** Samba's own helper verifies our messages: it has the password, and needs no domain controller. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { Secret } from '../../src/contracts/secret.ts';
import { createNtlmAuthenticate, type NtlmAuthenticate } from '../../src/protocol/ntlm/ntlm-authenticate.ts';
import { HTTP_FLAGS, SPNEGO_FLAGS } from '../../src/protocol/ntlm/ntlm-flags.ts';
import { type NtlmKey, ntHash } from '../../src/protocol/ntlm/ntlm-hash.ts';
import { encodeNegotiate } from '../../src/protocol/ntlm/ntlm-message.ts';
import {
  encodeNegTokenInit,
  encodeNegTokenResp,
  MECH_NTLM,
  mechTypeList,
  readNegotiateToken,
} from '../../src/protocol/spnego.ts';
import { missing } from '../support/requires.ts';
import { temporaryFolder } from '../support/temporary.ts';

interface Account {
  readonly user: string;
  readonly domain: string;
  readonly password: string;
}

/** A helper as Squid starts it: a line in, a line out. */
class Helper implements AsyncDisposable {
  readonly #child;
  readonly #lines;
  readonly #ended: Promise<unknown>;

  constructor(protocol: string, { user, domain, password }: Account, configuration: string) {
    const account = [`--username=${user}`, `--domain=${domain}`, `--password=${password}`];
    this.#child = spawn('ntlm_auth', [`--configfile=${configuration}`, `--helper-protocol=${protocol}`, ...account], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#ended = new Promise((resolve) => this.#child.on('close', resolve));
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  async ask(verb: string, token: Buffer): Promise<{ verb: string; token: Buffer; line: string }> {
    this.#child.stdin.write(`${verb} ${token.toString('base64')}\n`);
    const { value } = await this.#lines.next();
    const line = String(value);
    const [answer = '', base64 = ''] = line.split(' ');
    return { verb: answer, token: Buffer.from(base64, 'base64'), line };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end();
    await this.#ended;
  }
}

async function configuration(folder: string): Promise<string> {
  const folders = [
    'private dir',
    'lock directory',
    'state directory',
    'cache directory',
    'pid directory',
    'ncalrpc dir',
  ];
  const lines = ['[global]', 'workgroup = CORP', 'netbios name = LAB', ...folders.map((name) => `${name} = ${folder}`)];
  const file = join(folder, 'smb.conf');
  await writeFile(file, `${lines.join('\n')}\n`);
  return file;
}

function answer(negotiate: Buffer, challenge: Buffer, { user, domain }: Account, key: NtlmKey): NtlmAuthenticate {
  return createNtlmAuthenticate({
    negotiate,
    challenge,
    identity: { user, domain, key },
    workstation: 'PC',
    targetName: 'HTTP/lab',
    wallMs: Date.now(),
    clientChallenge: randomBytes(8),
    randomKey: randomBytes(16),
  });
}

const passwordOf = ({ password }: Account): NtlmKey => ({ kind: 'password', secret: new Secret(password) });

const ACCOUNTS: readonly Account[] = [
  { user: 'user', domain: 'CORP', password: 'Passw0rd' },
  { user: 'Jörg Straße', domain: 'CORP', password: 'Pässwörd€' },
  { user: 'пётр', domain: 'БЮРО', password: 'пароль' },
  { user: 'ıİſµς', domain: 'CORP', password: '🔑𐐨' },
  { user: 'γιώργος', domain: '', password: ' ' },
];

const skip = missing('winbind');

for (const account of ACCOUNTS) {
  test(`Samba lets ${account.domain}\\${account.user} in, by password and by hash`, { skip }, async () => {
    using folder = temporaryFolder();
    const file = await configuration(folder.path);
    const hash = ntHash(new Secret(account.password)).toString('hex');
    for (const key of [passwordOf(account), { kind: 'nt-hash', secret: new Secret(hash) } as const]) {
      await using helper = new Helper('squid-2.5-ntlmssp', account, file);
      const negotiate = encodeNegotiate(HTTP_FLAGS);
      const challenge = await helper.ask('YR', negotiate);
      assert.equal(challenge.verb, 'TT', challenge.line);
      const { message, mic } = answer(negotiate, challenge.token, account, key);
      assert.equal(mic, 'sent');
      const verdict = await helper.ask('KK', message);
      assert.equal(verdict.verb, 'AF', verdict.line);
    }
  });
}

test('Samba refuses a wrong password, and an answer that was changed on the way', { skip }, async () => {
  const account = { user: 'user', domain: 'CORP', password: 'right' };
  using folder = temporaryFolder();
  const file = await configuration(folder.path);
  for (const how of ['wrong', 'changed'] as const) {
    await using helper = new Helper('squid-2.5-ntlmssp', account, file);
    const negotiate = encodeNegotiate(HTTP_FLAGS);
    const challenge = await helper.ask('YR', negotiate);
    const key = passwordOf(how === 'wrong' ? { ...account, password: 'wrong' } : account);
    const { message } = answer(negotiate, challenge.token, account, key);
    // The flags are not in the proof; only the MIC covers them.
    if (how === 'changed') message[63] = (message[63] ?? 0) ^ 0x80;
    const verdict = await helper.ask('KK', message);
    assert.match(verdict.verb, /^(?:NA|BH)$/, verdict.line);
  }
});

test('Samba accepts NTLM inside SPNEGO, and signs the list of mechanisms as we do', { skip }, async () => {
  const account = { user: 'Jörg', domain: 'CORP', password: 'Pässwörd' };
  using folder = temporaryFolder();
  const file = await configuration(folder.path);
  await using helper = new Helper('gss-spnego', account, file);
  const negotiate = encodeNegotiate(SPNEGO_FLAGS);
  const list = mechTypeList([MECH_NTLM]);
  const first = await helper.ask('YR', encodeNegTokenInit([MECH_NTLM], negotiate));
  const challenge = readNegotiateToken(first.token);
  assert.ok(challenge?.kind === 'response' && challenge.responseToken, first.line);
  const { message, session } = answer(negotiate, challenge.responseToken, account, passwordOf(account));
  const last = await helper.ask('KK', encodeNegTokenResp(message, session.firstSignature('client', list)));
  assert.equal(last.verb, 'AF', last.line);
  const accepted = readNegotiateToken(last.token);
  assert.ok(accepted?.kind === 'response');
  assert.equal(accepted.state, 'accept-completed');
  assert.deepEqual(accepted.mechListMic, session.firstSignature('server', list));
});

test('Samba does not accept SPNEGO whose list of mechanisms is not signed', { skip }, async () => {
  const account = { user: 'user', domain: 'CORP', password: 'right' };
  using folder = temporaryFolder();
  await using helper = new Helper('gss-spnego', account, await configuration(folder.path));
  const negotiate = encodeNegotiate(SPNEGO_FLAGS);
  const first = await helper.ask('YR', encodeNegTokenInit([MECH_NTLM], negotiate));
  const challenge = readNegotiateToken(first.token);
  assert.ok(challenge?.kind === 'response' && challenge.responseToken, first.line);
  const { message } = answer(negotiate, challenge.responseToken, account, passwordOf(account));
  const last = await helper.ask('KK', encodeNegTokenResp(message, undefined));
  assert.notEqual(last.verb, 'AF', last.line);
});

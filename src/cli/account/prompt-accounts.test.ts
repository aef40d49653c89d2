import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { temporaryFolder } from '../../../test/support/temporary.ts';
import type { CredentialStoreOptions } from '../../credentials/credential-store.ts';
import { credentialsSchema } from '../../credentials/options.ts';
import { UsageError } from '../print.ts';
import { credentialSources } from './prompt-accounts.ts';

const HASH = '0123456789abcdef0123456789abcdef';

const OPTIONS: CredentialStoreOptions = {
  ...credentialsSchema.parse({ default: { user: 'CORP\\me' }, lab: { user: 'you', from: 'prompt' } }),
  upstreams: [{ host: 'lab.example', credentials: 'lab' }],
};

/** A person at a terminal who types these lines, one for each question. */
function typist(...lines: readonly string[]) {
  const input = Object.assign(new PassThrough(), { isTTY: true });
  const asked: string[] = [];
  const output = {
    write(text: string) {
      if (text !== '\n') asked.push(text);
      if (text !== '\n') input.write(`${lines[asked.length - 1]}\r`);
    },
  };
  return { input, output, asked };
}

test('each account without a secret is asked for once, at start', async () => {
  using folder = temporaryFolder();
  const person = typist('first', 'second');
  const { prompted } = await credentialSources(OPTIONS, {}, folder.path, person);
  assert.deepEqual(person.asked, ['Password (for CORP\\me): ', 'Password (for you): ']);
  assert.deepEqual(
    [...prompted].map(([name, secret]) => [name, secret.reveal()]),
    [
      ['CORP\\me', 'first'],
      ['you', 'second'],
    ],
  );
});

test('without a terminal it is an error that names the other sources of a password', async () => {
  using folder = temporaryFolder();
  const noTerminal = { input: new PassThrough(), output: { write: () => assert.fail('no terminal can answer') } };
  await assert.rejects(credentialSources(OPTIONS, {}, folder.path, noTerminal), (error) => {
    assert.ok(error instanceof UsageError);
    assert.match(error.message, /^there is no password of CORP\\me, and standard input is not a terminal/);
    for (const way of ['NTLM_CREDENTIALS', 'viaduct login', 'file:PATH']) assert.ok(error.message.includes(way), way);
    return true;
  });
});

test('an account that has a secret is not asked for', async () => {
  using folder = temporaryFolder();
  const person = typist('only this');
  const { prompted } = await credentialSources(OPTIONS, { NTLM_CREDENTIALS: `me@CORP:${HASH}` }, folder.path, person);
  assert.deepEqual([...prompted.keys()], ['you']);
});

test('an empty line is not accepted as a password', async () => {
  using folder = temporaryFolder();
  await assert.rejects(credentialSources(OPTIONS, {}, folder.path, typist('')), UsageError);
});

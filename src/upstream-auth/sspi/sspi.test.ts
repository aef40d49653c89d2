import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { parseChallenges } from '../../protocol/http-auth/challenge.ts';
import { SspiScheme } from '../schemes/sspi.ts';
import { systemSspi } from './sspi.ts';
import type { SspiLibrary, SspiStep } from './sspi-library.ts';

const OK = 0;
const CONTINUE_NEEDED = 0x0009_0312;
const MESSAGE = { method: 'GET', uri: '/', body: 'none' } as const;
const STREAM = {} as Parameters<SspiScheme['next']>[1];

/** A Windows that gives these tokens, and what it was asked. */
function windowsOf(steps: readonly SspiStep[], status = OK) {
  const asked: string[] = [];
  let released = 0;
  const left = [...steps];
  const library: SspiLibrary = {
    begin: async (name, account) => {
      asked.push(`${name} ${account?.user ?? 'own'}`);
      if (status !== OK) return { status };
      return {
        step: async (target, token) => {
          asked.push(`${target} ${token ?? ''}`);
          return left.shift() ?? { status: 0x8009_0308, token: undefined };
        },
        release: () => {
          released++;
        },
      };
    },
  };
  const provider = systemSspi({ clock: new ManualClock(), platform: 'win32', open: async () => library });
  assert.ok(provider);
  return { provider, asked, released: () => released };
}

const challenge = (scheme: string, token: string) =>
  parseChallenges([`${scheme} ${Buffer.from(token).toString('base64')}`]);

test('NTLM takes two rounds on one context, and only the second proves something', async () => {
  const { provider, asked, released } = windowsOf([
    { status: CONTINUE_NEEDED, token: Buffer.from('NTLMSSP\0\x01 offer') },
    { status: OK, token: Buffer.from('NTLMSSP\0\x03 proof') },
  ]);
  using scheme = new SspiScheme('sspi-ntlm', provider, undefined, 'proxy.corp');
  const offer = Buffer.from('NTLMSSP\0\x01 offer').toString('base64');
  assert.equal(await scheme.next(MESSAGE, STREAM), `NTLM ${offer}`);
  assert.deepEqual([scheme.sentCredentials, scheme.isFinalLeg], [false, false]);
  assert.equal(scheme.onChallenge(challenge('NTLM', 'challenge')), 'go-on');
  const proof = Buffer.from('NTLMSSP\0\x03 proof').toString('base64');
  assert.equal(await scheme.next(MESSAGE, STREAM), `NTLM ${proof}`);
  assert.equal(scheme.sentCredentials, true);
  assert.equal(scheme.onChallenge(parseChallenges(['NTLM'])), 'rejected');
  assert.deepEqual(asked, ['NTLM own', 'HTTP/proxy.corp ', 'HTTP/proxy.corp challenge']);
  scheme[Symbol.dispose]();
  assert.equal(released(), 1);
});

test('a ticket proves something at once, and a failure of Windows is said in words', async () => {
  const { provider, asked } = windowsOf([{ status: OK, token: Buffer.from('ticket') }]);
  using scheme = new SspiScheme('sspi-negotiate', provider, undefined, 'proxy.corp');
  assert.equal(await scheme.next(MESSAGE, STREAM), `Negotiate ${Buffer.from('ticket').toString('base64')}`);
  assert.equal(scheme.sentCredentials, true);
  assert.deepEqual(asked, ['Negotiate own', 'HTTP/proxy.corp ']);
  for (const [status, unavailable] of [
    [0x8009_0311, 'no domain controller can be reached'],
    [0x8009_0399, 'SSPI fails with 0x80090399'],
  ] as const) {
    const refusing = windowsOf([], status).provider;
    using refused = new SspiScheme('sspi-negotiate', refusing, undefined, 'proxy.corp');
    assert.deepEqual(await refused.next(MESSAGE, STREAM), { unavailable });
  }
});

test('only Windows has it', () => {
  assert.equal(systemSspi({ clock: new ManualClock(), platform: 'linux' }), undefined);
});

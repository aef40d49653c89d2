import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { LoginNeed } from '../../contracts/identity.ts';
import { Negotiation, type NegotiationStep } from './negotiation.ts';

/** What a client reads and asks for, when its bytes come in these pieces; a login is always right. */
function played(pieces: readonly Buffer[], requires: LoginNeed): string {
  const negotiation = new Negotiation();
  const seen: string[] = [];
  const take = (step: NegotiationStep): 'on' | 'wait' | 'over' => {
    switch (step.at) {
      case 'more':
        return 'wait';
      case 'reply':
        seen.push(step.bytes.toString('hex'));
        return 'on';
      case 'login':
        seen.push(`login ${step.login.username}`, negotiation.loggedIn(step.login).toString('hex'));
        return 'on';
      case 'refused':
        seen.push(`${step.version.protocol} ${step.error.code} ${step.bytes.toString('hex')}`);
        return 'over';
      case 'request':
        seen.push(`${step.version.protocol} ${step.target.host}:${step.target.port}`);
        return 'over';
    }
  };
  for (const piece of pieces) {
    negotiation.add(piece);
    for (;;) {
      const then = take(negotiation.next(requires));
      if (then === 'over') return seen.join(' | ');
      if (then === 'wait') break;
    }
  }
  return [...seen, 'waits'].join(' | ');
}

const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');
const byName = Buffer.concat([ascii('\x05\x01\x00\x03\x09a.example'), Buffer.from([1, 187])]);

describe('the negotiation of SOCKS', () => {
  test('chooses no authentication where none is required, and a password where users are', () => {
    const hello = ascii('\x05\x03\x00\x01\x02');
    assert.equal(played([Buffer.concat([hello, byName])], 'nothing'), '0500 | socks5 a.example:443');
    const login = ascii('\x01\x02me\x02pw');
    assert.equal(
      played([Buffer.concat([hello, login, byName])], 'login'),
      '0502 | login me | 0100 | socks5 a.example:443',
    );
    assert.equal(played([ascii('\x05\x01\x00')], 'login'), 'socks5 client_auth_required 05ff');
  });
  test('asks for a password where it may be needed, and goes on with a client that offers none', () => {
    const both = Buffer.concat([ascii('\x05\x02\x00\x02\x01\x02me\x02pw'), byName]);
    assert.equal(played([both], 'optional'), '0502 | login me | 0100 | socks5 a.example:443');
    const none = Buffer.concat([ascii('\x05\x01\x00'), byName]);
    assert.equal(played([none], 'optional'), '0500 | socks5 a.example:443');
    assert.equal(played([ascii('\x05\x01\x01')], 'optional'), 'socks5 bad_request 05ff');
  });
  test('takes any login where none is required and the client insists on one', () => {
    const all = Buffer.concat([ascii('\x05\x01\x02'), ascii('\x01\x02me\x00'), byName]);
    assert.equal(played([all], 'nothing'), '0502 | login me | 0100 | socks5 a.example:443');
  });
  test('reads addresses of every kind', () => {
    const asks = (kind: string) =>
      played([Buffer.concat([ascii('\x05\x01\x00\x05\x01\x00'), ascii(kind), Buffer.from([0, 80])])], 'nothing');
    assert.equal(asks('\x01\xc0\x00\x02\x01'), '0500 | socks5 192.0.2.1:80');
    assert.equal(asks(`\x04\x20\x01\x0d\xb8${'\0'.repeat(11)}\x01`), '0500 | socks5 2001:db8::1:80');
    assert.equal(asks('\x03\x0b2001:db8::1'), '0500 | socks5 2001:db8::1:80');
    assert.equal(asks('\x03\x07EXAMPLE'), '0500 | socks5 example:80');
    for (const hostile of [
      '\x03\x08a.b/../c',
      '\x03\x030x7',
      '\x03\x05a\0b.c',
      '\x03\x04a@bc',
      '\x03\x05a:80b',
      '\x03\x05[::1]',
    ])
      assert.match(asks(hostile), /^0500 \| socks5 (?:bad_request 0501|::1:80)/, JSON.stringify(hostile));
  });
  test('reads SOCKS4 with an empty and with a long user name, and the name of 4A', () => {
    const four = (address: number[], text: string) =>
      played([Buffer.concat([Buffer.from([4, 1, 0, 80, ...address]), ascii(text)])], 'nothing');
    assert.equal(four([192, 0, 2, 1], '\0'), 'socks4 192.0.2.1:80');
    assert.equal(four([192, 0, 2, 1], `${'u'.repeat(255)}\0`), 'socks4 192.0.2.1:80');
    assert.equal(four([192, 0, 2, 1], 'u'.repeat(256)), 'socks4 bad_request 005b000000000000');
    assert.equal(four([0, 0, 0, 7], 'me\0a.example\0'), 'socks4 a.example:80');
    assert.equal(four([0, 0, 0, 7], 'me\0a.exam'), 'waits');
    assert.equal(four([0, 0, 0, 0], '\0'), 'socks4 0.0.0.0:80');
  });
  test('means the same wherever it is cut, also for bytes that mean nothing, and never throws', () => {
    const likely = fc.constantFrom('\x05', '\x04', '\x01', '\x00', '\x03', '\x02', 'a.b', '\xff', '\x7f\0\0\x01');
    const any = fc.array(
      fc.oneof({ weight: 4, arbitrary: likely }, fc.string({ unit: 'binary-ascii', maxLength: 6 })),
      { maxLength: 24 },
    );
    fc.assert(
      fc.property(
        fc.constantFrom('\x05\x01\x00', '\x05\x02\x00\x02', '\x04\x01', ''),
        any,
        fc.constantFrom('login' as const, 'nothing' as const),
        (begin, rest, requires) => {
          const bytes = ascii(begin + rest.join(''));
          const whole = played([bytes], requires);
          const single = played(
            [...bytes].map((byte) => Buffer.from([byte])),
            requires,
          );
          assert.equal(single, whole);
        },
      ),
      { numRuns: 2_000, seed: 7 },
    );
  });
});

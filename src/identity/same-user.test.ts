import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ClientInfo } from '../contracts/request.ts';
import type { TcpEnd } from '../net/peer-uid.ts';
import { interactiveUsers } from './interactive-users.ts';
import { sameUserFilter } from './same-user.ts';
import type { SocketOwners } from './socket-owners/socket-owners.ts';

const owners = (found: Readonly<Record<string, string>>): SocketOwners => ({
  self: '1000',
  ownerOf: (from, to) => found[`${textOf(from)} ${textOf(to)}`],
});
const textOf = ({ address, port }: TcpEnd): string => `${address.octets.join('.')}:${port}`;
const filter = sameUserFilter(
  owners({
    '127.0.0.1:5000 127.0.0.1:3128': '1000',
    '127.0.0.1:5001 127.0.0.1:3128': '1001',
    '127.0.0.1:5000 127.0.0.2:3128': '1001',
    '10.0.0.1:5003 127.0.0.1:3128': '1001',
    '10.0.0.1:5004 127.0.0.1:3128': '1000',
  }),
);
const refusal = (address: string, port: number, more: Partial<ClientInfo> = {}) =>
  filter.refusal({ address, port, listener: 'http://127.0.0.1:3128', ...more })?.detail;
const REFUSED = 'rule clients.sameUser: the client is a process of';

describe('a client on loopback is served when the system says that its socket is one of this user', () => {
  test('and no other user, nor one that is not known', () => {
    assert.equal(refusal('127.0.0.1', 5000), undefined);
    assert.equal(refusal('127.0.0.1', 5001), `${REFUSED} the user 1001`);
    assert.equal(refusal('127.0.0.1', 5002), `${REFUSED} an unknown user`);
  });
  test('by the address that it has connected to, where the listener is on all of them', () => {
    const listener = 'any://[::]:3128';
    assert.equal(refusal('127.0.0.1', 5000, { listener, localAddress: '::ffff:127.0.0.1' }), undefined);
    assert.equal(refusal('127.0.0.1', 5000, { listener, localAddress: '127.0.0.2' }), `${REFUSED} the user 1001`);
    assert.equal(refusal('127.0.0.1', 5000, { listener }), `${REFUSED} an unknown user`);
  });
  test('and is refused where the system does not tell', () => {
    const other = sameUserFilter({ unavailable: 'it does not' });
    assert.equal(
      other.refusal({ address: '::1', port: 1, listener: 'http://[::1]:3128' })?.detail,
      `${REFUSED} an unknown user`,
    );
  });
  test('also by another address of this machine: a program may bind one before it connects to loopback', () => {
    assert.equal(refusal('10.0.0.1', 5003), `${REFUSED} the user 1001`);
    assert.equal(refusal('10.0.0.1', 5004), undefined);
    const onAll = { listener: 'http://0.0.0.0:3128', localAddress: '127.0.0.1' };
    assert.equal(refusal('10.0.0.1', 5003, onAll), `${REFUSED} the user 1001`);
  });
  test('clients of other machines are no matter of this rule', () => {
    assert.equal(refusal('10.0.0.1', 1, { listener: 'http://10.0.0.2:3128' }), undefined);
    assert.equal(refusal('10.0.0.1', 1, { isNamedByHeader: true }), undefined);
    assert.equal(refusal('', 0), undefined);
  });
});

test('people are the accounts above 999 that have a shell, and this user', () => {
  const passwd =
    'root:x:0:0::/root:/bin/bash\nwww:x:33:33::/var:/usr/sbin/nologin\nme:x:1000:1000::/home/me:/bin/zsh\n' +
    'you:x:1001:1001::/home/you:/bin/false\nnobody:x:65534:65534::/:/bin/sh\n';
  assert.equal(interactiveUsers(passwd, 1000), 1);
  assert.equal(interactiveUsers(passwd, 0), 2);
  assert.equal(interactiveUsers('', 0), 0);
});

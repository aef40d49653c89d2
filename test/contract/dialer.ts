import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Dialer } from '../../src/contracts/dialing.ts';
import { ProxyError } from '../../src/contracts/failure.ts';
import type { Connection, Hop } from '../../src/contracts/stages.ts';
import { dialScope } from '../support/dial-scope.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import type { RawPeer } from '../support/raw-client.ts';
import { Notes, type WirePair, wirePair } from '../support/wire-pair.ts';

/** One kind of dialer in a test: what it sends to a proxy, and what a proxy sends that accepts it. */
export interface DialerCase {
  readonly name: string;
  readonly dialer: Dialer;
  readonly hop: Hop;
  /** In turns, literal latin1: what the dialer sends, and what the proxy answers. */
  readonly exchange: readonly (readonly [request: string, response: string])[];
}

const TARGET = { host: 'a.test', port: 443 };

/** Plays the proxy's side of the exchange, its last response followed by `behind` and cut at `cut`. */
async function playProxy(peer: RawPeer, { exchange }: DialerCase, behind: string, cut: number): Promise<void> {
  let begun = 0;
  for (const [at, [request, response]] of exchange.entries()) {
    await peer.when(({ bytesReceived }) => bytesReceived >= begun + request.length, 'request');
    assert.equal(peer.text.slice(begun), request);
    begun += request.length;
    const isLast = at === exchange.length - 1;
    await peer.sendCut(Buffer.from(isLast ? response + behind : response, 'latin1'), isLast ? cut : 1);
  }
}

async function dialled(one: DialerCase, pair: WirePair, signal = new AbortController().signal): Promise<Connection> {
  return await one.dialer.dial(one.hop, TARGET, dialScope({ signal }), () => Promise.resolve(pair.connection));
}

/** What every dialer promises, in every protocol. */
export function dialerKeepsItsPromises(one: DialerCase): void {
  const { name } = one;

  test(
    `${name}: the response is cut at every byte, and the bytes behind it are the target's`,
    leavesNothing(async () => {
      const last = one.exchange.at(-1)?.[1] ?? '';
      for (let cut = 0; cut <= last.length + 3; cut++) {
        await using pair = await wirePair();
        const [connection] = await Promise.all([dialled(one, pair), playProxy(pair.peer, one, 'SSH', cut)]);
        const notes = new Notes();
        notes.text = connection.early.toString('latin1');
        connection.wire.deliverTo(notes);
        await notes.when(({ text }) => text.length >= 3);
        assert.equal(notes.text, 'SSH', `cut at ${cut}`);
        connection.wire.stream.write('up', 'latin1');
        await pair.peer.until('up');
        connection[Symbol.dispose]();
      }
    }),
  );

  test(
    `${name}: a proxy that closes is upstream_closed before a byte, upstream_protocol behind one`,
    leavesNothing(async () => {
      for (const sent of ['', one.exchange[0]?.[1].slice(0, 1) ?? '']) {
        await using pair = await wirePair();
        const dialling = dialled(one, pair);
        pair.peer.send(sent).end();
        await assert.rejects(dialling, { code: sent === '' ? 'upstream_closed' : 'upstream_protocol' });
        assert.equal(pair.wire.stream.destroyed, true);
      }
    }),
  );

  test(
    `${name}: another protocol is upstream_protocol, at once`,
    leavesNothing(async () => {
      await using pair = await wirePair();
      const dialling = dialled(one, pair);
      pair.peer.send('220 mail.test ESMTP\r\n');
      await assert.rejects(dialling, { code: 'upstream_protocol' });
      assert.equal(pair.wire.stream.destroyed, true);
    }),
  );

  test(
    `${name}: silence is upstream_timeout after its time`,
    leavesNothing(async () => {
      await using pair = await wirePair();
      await assert.rejects(dialled(one, pair), { code: 'upstream_timeout' });
      assert.equal(pair.wire.stream.destroyed, true);
    }),
  );

  test(
    `${name}: an abort rejects with the signal's reason, and closes what was reached`,
    leavesNothing(async () => {
      await using pair = await wirePair();
      const abort = new AbortController();
      const dialling = dialled(one, pair, abort.signal);
      const reason = new ProxyError('client_gone', 'test');
      await pair.peer.when(({ bytesReceived }) => bytesReceived > 0);
      abort.abort(reason);
      await assert.rejects(dialling, (error) => error === reason);
      assert.equal(pair.wire.stream.destroyed, true);
    }),
  );

  test(`${name}: what reach rejects with is what dialling rejects with`, async () => {
    const reason = new ProxyError('connection_refused', 'test');
    const dialling = one.dialer.dial(one.hop, TARGET, dialScope(), () => Promise.reject(reason));
    await assert.rejects(dialling, (error) => error === reason);
  });
}

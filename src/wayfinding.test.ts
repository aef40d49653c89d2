import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { test } from 'node:test';
import { leavesNothing } from '../test/support/no-leaks.ts';
import { systemClock } from './core/clock.ts';
import { ownAddresses } from './policy/own-addresses.ts';
import { cachingResolver } from './upstream/resolver.ts';
import { findWays } from './wayfinding.ts';

const PAC = 'data:,function FindProxyForURL() { return "DIRECT" }';

/** A web server that answers when it is told to. */
async function slowServer() {
  const { promise: asked, resolve } = Promise.withResolvers<ServerResponse>();
  const web = createServer((_, answer) => resolve(answer)).listen(0, '127.0.0.1');
  await once(web, 'listening');
  const at = web.address();
  assert.ok(at !== null && typeof at === 'object');
  return {
    asked,
    url: `http://127.0.0.1:${at.port}/proxy.pac`,
    [Symbol.asyncDispose]: async () => void (await once(web.close(), 'close')),
  };
}

const ways = () =>
  findWays({
    clock: systemClock,
    observe: () => undefined,
    resolver: cachingResolver(systemClock),
    own: ownAddresses(() => [], systemClock),
    stateDir: undefined,
    environment: {},
    trace: 'lookups',
  });

test(
  'another PAC is followed from when it has been read; until then the one before decides',
  leavesNothing(async () => {
    await using web = await slowServer();
    await using found = ways();
    await found.follow({ pac: PAC, pacUnreachable: 'last-copy' });
    const before = found.state;
    assert.equal(before.at, 'script');
    const following = found.follow({ pac: web.url, pacUnreachable: 'last-copy' });
    const answer = await web.asked;
    assert.equal(found.state, before);
    answer.end('function FindProxyForURL() { return "PROXY a:1" }');
    await following;
    assert.ok(found.state.at === 'script');
    assert.equal(found.state.script.source, web.url);
  }),
);

test(
  'whoever changes their mind meanwhile gets what they wanted last',
  leavesNothing(async () => {
    await using web = await slowServer();
    await using found = ways();
    await found.follow({ pac: PAC, pacUnreachable: 'last-copy' });
    const first = found.follow({ pac: web.url, pacUnreachable: 'last-copy' });
    await web.asked;
    const second = found.follow({ pac: 'none', pacUnreachable: 'direct' });
    await Promise.all([first, second]);
    assert.equal(found.state.at, 'none');
    const back = found.follow({ pac: web.url, pacUnreachable: 'last-copy' });
    await found.follow({ pac: 'none', pacUnreachable: 'direct' });
    await back;
    assert.equal(found.state.at, 'none');
  }),
);

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { test } from 'node:test';
import { leavesNothing } from '../../test/support/no-leaks.ts';
import { trusting } from '../../test/support/trusting.ts';
import { listenAddresses } from '../policy/listen-addresses.ts';
import { cachingResolver } from '../upstream/dial/resolver.ts';
import { systemClock } from '../util/clock.ts';
import { createPacService } from './pac-service.ts';

const PAC = 'data:,function FindProxyForURL() { return "DIRECT" }';

/** A web server whose responses the test sends. */
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

const pacService = () =>
  createPacService({
    clock: systemClock,
    observe: () => undefined,
    resolver: cachingResolver(systemClock),
    listenAddresses: listenAddresses(() => [], systemClock),
    secure: trusting(),
    stateDir: undefined,
    environment: {},
    trace: 'lookups',
  });

test(
  'another PAC is used as soon as it has been read; until then the PAC before decides',
  leavesNothing(async () => {
    await using web = await slowServer();
    await using found = pacService();
    await found.configure({ pac: PAC, pacUnreachable: 'last-copy', unreachable: 'refuse' }, []);
    const before = found.state;
    assert.equal(before.at, 'script');
    const following = found.configure({ pac: web.url, pacUnreachable: 'last-copy', unreachable: 'refuse' }, []);
    const answer = await web.asked;
    assert.equal(found.state, before);
    answer.end('function FindProxyForURL() { return "PROXY a:1" }');
    await following;
    assert.ok(found.state.at === 'script');
    assert.equal(found.state.script.source, web.url);
  }),
);

test(
  'of several calls that overlap the last one decides',
  leavesNothing(async () => {
    await using web = await slowServer();
    await using found = pacService();
    await found.configure({ pac: PAC, pacUnreachable: 'last-copy', unreachable: 'refuse' }, []);
    const first = found.configure({ pac: web.url, pacUnreachable: 'last-copy', unreachable: 'refuse' }, []);
    await web.asked;
    const second = found.configure({ pac: 'none', pacUnreachable: 'direct', unreachable: 'refuse' }, []);
    await Promise.all([first, second]);
    assert.equal(found.state.at, 'none');
    const back = found.configure({ pac: web.url, pacUnreachable: 'last-copy', unreachable: 'refuse' }, []);
    await found.configure({ pac: 'none', pacUnreachable: 'direct', unreachable: 'refuse' }, []);
    await back;
    assert.equal(found.state.at, 'none');
  }),
);

test(
  'a PAC is read anew when other authorities are trusted, and not when nothing has changed',
  leavesNothing(async () => {
    let asked = 0;
    const web = createServer((_, answer) => {
      asked += 1;
      answer.end('function FindProxyForURL() { return "DIRECT" }');
    }).listen(0, '127.0.0.1');
    await once(web, 'listening');
    const at = web.address();
    assert.ok(at !== null && typeof at === 'object');
    const settings = { pac: `http://127.0.0.1:${at.port}/`, pacUnreachable: 'direct', unreachable: 'refuse' } as const;
    await using found = pacService();
    await found.configure(settings, []);
    await found.configure(settings, []);
    assert.equal(asked, 1);
    await found.configure(settings, [{ host: '127.0.0.1', ca: '/ca.pem' }]);
    await found.configure(settings, [{ host: '127.0.0.1', ca: '/ca.pem', credentials: 'other' }]);
    assert.equal(asked, 2);
    await once(web.close(), 'close');
  }),
);

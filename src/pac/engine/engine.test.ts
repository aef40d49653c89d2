import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { leavesNothing } from '../../../test/support/no-leaks.ts';
import { systemClock } from '../../util/clock.ts';
import { createPacEngine, type PacEngine, type PacWorld } from './engine.ts';
import type { PacEvaluation } from './evaluation.ts';

const NO_NETWORK: PacWorld = {
  clock: systemClock,
  zone: 'UTC',
  resolve: () => Promise.reject(new Error('there is no such name')),
  localAddresses: () => Promise.resolve({ first: undefined, all: [] }),
  // Tests that are not about time must not fail on a busy machine.
  deadlineMs: 20_000,
};

async function withEngine(world: Partial<PacWorld>, body: (engine: PacEngine) => Promise<void>): Promise<void> {
  await leavesNothing(async () => {
    await using engine = createPacEngine({ ...NO_NETWORK, ...world });
    await engine.start();
    await body(engine);
  })();
}

function ask(
  engine: PacEngine,
  text: string,
  host = 'a.test',
  signal = new AbortController().signal,
): Promise<PacEvaluation> {
  const script = { text, source: 'test', namedBy: 'pac', readMs: 0 } as const;
  return engine.evaluate(script, { url: `http://${host}/`, host, signal, trace: 'calls' });
}

/** The result, or `!` and the failure. */
async function resultOf(evaluating: Promise<PacEvaluation>): Promise<string> {
  const evaluation = await evaluating;
  return evaluation.ok ? evaluation.result : `!${evaluation.failure}`;
}

const helpersIn = async (answer: Promise<PacEvaluation>): Promise<string[]> =>
  (await answer).calls.map(({ helper, args, result }) => `${helper}(${args.join()})=${String(result)}`);

test('a script gets the URL and the host, and its result comes back unchanged', () =>
  withEngine({}, async (engine) => {
    const text = 'function FindProxyForURL(url, host) { return "PROXY " + host + ":1; " + url; }';
    assert.equal(await resultOf(ask(engine, text)), 'PROXY a.test:1; http://a.test/');
  }));

test('scripts may use modern syntax; one that returns a promise fails', () =>
  withEngine({}, async (engine) => {
    const modern =
      'const FindProxyForURL = (url, host) => { let o = { p: null }; return `PROXY $' + '{o?.p ?? host}:1`; };';
    assert.equal(await resultOf(ask(engine, modern)), 'PROXY a.test:1');
    const later = 'async function FindProxyForURL() { return "DIRECT"; }';
    assert.equal(await resultOf(ask(engine, later)), '!FindProxyForURL() did not return a string');
  }));

test('FindProxyForURLEx is called rather than FindProxyForURL', () =>
  withEngine({}, async (engine) => {
    const text =
      'function FindProxyForURLEx() { return "PROXY ex:1"; } function FindProxyForURL() { return "DIRECT"; }';
    assert.equal(await resultOf(ask(engine, text)), 'PROXY ex:1');
  }));

test('the failure of a script names the line, while it is loaded and while it runs', () =>
  withEngine({}, async (engine) => {
    assert.match(await resultOf(ask(engine, 'var x =')), /^!the script cannot be loaded: SyntaxError: .* \(line 1\)$/);
    assert.equal(
      await resultOf(ask(engine, 'var x = 1;')),
      '!the script cannot be loaded: FindProxyForURL is undefined or not a function',
    );
    const typo = 'function FindProxyForURL() {\n\n  return nowhere;\n}';
    assert.equal(await resultOf(ask(engine, typo)), '!ReferenceError: nowhere is not defined (line 3)');
    const throws = (value: string) => resultOf(ask(engine, `function FindProxyForURL() { throw ${value}; }`));
    assert.equal(await throws('null'), '!the script threw null');
    assert.equal(await throws('undefined'), '!the script threw undefined');
    assert.equal(await throws('"text"'), '!Error: text');
  }));

test('a name is resolved once from anywhere in a script, and no handler of the script sees the interruption', () =>
  withEngine(
    { resolve: (name) => Promise.resolve(name === 'v6.test' ? ['2001:db8::1'] : ['192.0.2.1']) },
    async (engine) => {
      const text = `
      var resolve = dnsResolve, seen = '';
      function FindProxyForURL(url, host) {
        alert('hello');
        try { var a = [host].map(function (name) { return resolve(name); })[0]; }
        catch (error) { seen += 'caught '; }
        finally { seen += 'finally '; }
        return seen + a + ' ' + dnsResolve('v6.test') + ' ' + dnsResolveEx('v6.test') + ' ' + isInNet(host, '192.0.2.0', '255.255.255.0');
      }`;
      const answer = ask(engine, text);
      // \`finally\` ran in the runs that reached it, and not in the one that was interrupted inside \`try\`.
      assert.equal(await resultOf(answer), 'finally finally 192.0.2.1 null 2001:db8::1 true');
      const calls = await helpersIn(answer);
      assert.deepEqual(
        calls.filter((call) => call.startsWith('alert')),
        ['alert(hello)=null'],
      );
      assert.ok(calls.includes('dnsResolve(a.test)=192.0.2.1'));
    },
  ));

test('an async function that swallows the interrupt does not change the result', () =>
  withEngine({ resolve: () => Promise.resolve(['192.0.2.1']) }, async (engine) => {
    const text = `
      var found = 'nothing';
      async function look() { found = dnsResolve('a.test'); }
      function FindProxyForURL() { look(); return 'PROXY ' + found + ':1'; }`;
    assert.equal(await resultOf(ask(engine, text)), 'PROXY 192.0.2.1:1');
  }));

test('a script may look up addresses while it is loaded, and is loaded again on another network', async () => {
  let address = '192.0.2.1';
  const world = { localAddresses: () => Promise.resolve({ first: address, all: [address] }) };
  await withEngine(world, async (engine) => {
    const text = 'var me = myIpAddress(); function FindProxyForURL() { return "PROXY " + me + ":1"; }';
    assert.equal(await resultOf(ask(engine, text)), 'PROXY 192.0.2.1:1');
    address = '192.0.2.2';
    assert.equal(await resultOf(ask(engine, text)), 'PROXY 192.0.2.1:1');
    engine.networkChanged();
    assert.equal(await resultOf(ask(engine, text)), 'PROXY 192.0.2.2:1');
  });
});

test('Date does not advance while a script runs, nor when it runs again with more facts', () =>
  withEngine({ resolve: () => wait(20, ['192.0.2.1']) }, async (engine) => {
    const text = `
      function FindProxyForURL(url, host) {
        var before = Date.now();
        dnsResolve(host);
        return String(Date.now() === before && new Date().getTime() === before);
      }`;
    assert.equal(await resultOf(ask(engine, text)), 'true');
  }));

const BOMBS: Readonly<Record<string, readonly [script: string, failure: RegExp]>> = {
  'an endless loop': ['while (true) {}', /did not answer within 400 ms$/],
  'an endless loop that catches all': [
    'for (;;) try { while (true) {} } catch (e) {} finally { continue; }',
    /400 ms$/,
  ],
  'a catastrophic regular expression': [`return /^(a+)+$/.test('${'a'.repeat(60)}b')`, /400 ms$/],
  'a native function that cannot be interrupted': [`return 'a'.repeat(2e6).indexOf('a'.repeat(1e6) + 'b')`, /400 ms$/],
  'a memory bomb': ['var a = []; for (;;) a.push(new Array(10000).fill(1));', /more than 32 MiB|400 ms$/],
  'endless recursion': ['return FindProxyForURL(url, host)', /^RangeError: Maximum call stack size exceeded/],
};

for (const [name, [script, failure]] of Object.entries(BOMBS)) {
  test(`${name} ends after the deadline, and the next evaluation succeeds`, () =>
    withEngine({ deadlineMs: 400 }, async (engine) => {
      const text = `function FindProxyForURL(url, host) { if (host === 'good.test') return 'DIRECT'; ${script} }`;
      await ask(engine, text, 'good.test');
      const answer = await ask(engine, text, 'bomb.test');
      assert.match(answer.ok ? answer.result : answer.failure, failure);
      let next = '';
      // A machine that is busy with other tests may need more than one deadline to start another thread.
      for (let turn = 0; turn < 20 && next !== 'DIRECT'; turn++) next = await resultOf(ask(engine, text, 'good.test'));
      assert.equal(next, 'DIRECT');
    }));
}

test('the length of what a script returns or throws is bounded', () =>
  withEngine({}, async (engine) => {
    const text = `function FindProxyForURL(url, host) {
      if (host === 'answer.test') return ';'.repeat(1e6);
      if (host === 'call.test') try { weekdayRange({ toString() { throw new Error('x'.repeat(1e6)); } }); } catch (e) {}
      throw new TypeError('x'.repeat(1e6));
    }`;
    assert.equal(
      await resultOf(ask(engine, text, 'answer.test')),
      '!FindProxyForURL() returned more than 32768 characters',
    );
    const thrown = await resultOf(ask(engine, text, 'call.test'));
    assert.match(thrown, /^!TypeError: x{489}… \(line 4\)$/);
    assert.ok(JSON.stringify((await ask(engine, text, 'call.test')).calls).length < 2_000);
  }));

test('a thread that takes long to start is not ended for that', () =>
  leavesNothing(async () => {
    const clock = new ManualClock();
    let threads = 0;
    const onThread = () => void threads++;
    process.on('worker', onThread);
    await using engine = createPacEngine({ ...NO_NETWORK, clock, deadlineMs: 1000 });
    const text = 'function FindProxyForURL() { return "DIRECT"; }';
    const answer = resultOf(ask(engine, text));
    const gone = new AbortController();
    const left = resultOf(ask(engine, text, 'a.test', gone.signal));
    gone.abort();
    // No event has been handled yet: the thread cannot be ready, and the time of the script has not begun.
    clock.advance(9_000);
    assert.equal(await left, '!the request that needed the result was cancelled');
    assert.equal(await answer, 'DIRECT');
    assert.equal(threads, 1);
    assert.equal(clock.pending, 0);
    process.off('worker', onThread);
  })());

test('a thread that does not start is waited for no longer than the deadline behind 10 s', () =>
  leavesNothing(async () => {
    const clock = new ManualClock();
    await using engine = createPacEngine({ ...NO_NETWORK, clock, deadlineMs: 1000 });
    const answer = resultOf(ask(engine, 'function FindProxyForURL() { return "DIRECT"; }'));
    clock.advance(10_000);
    // The evaluation begins, and its timer is the only one. No event is handled meanwhile: the thread cannot become ready.
    for (let turns = 0; turns < 100 && clock.pending === 0; turns++) await Promise.resolve();
    clock.advance(1_000);
    assert.equal(await answer, '!the script did not answer within 1000 ms: it waited for a thread');
  })());

test('a slow name delays only its own request, and by no more than the deadline', () =>
  withEngine({ deadlineMs: 1000, resolve: (_name, signal) => wait(60_000, [], { signal }) }, async (engine) => {
    const text = 'function FindProxyForURL(url, host) { return host === "slow.test" ? dnsResolve(host) : "DIRECT"; }';
    await ask(engine, text, 'warm.test');
    const slow = ask(engine, text, 'slow.test');
    let isOver = false;
    void slow.then(() => {
      isOver = true;
    });
    assert.equal(await resultOf(ask(engine, text, 'quick.test')), 'DIRECT');
    assert.equal(isOver, false);
    assert.equal(
      await resultOf(slow),
      '!the script did not answer within 1000 ms: it waited for the address of slow.test',
    );
  }));

test('other evaluations overtake a stuck one, and its host is not tried again at once', () =>
  withEngine({ deadlineMs: 2000 }, async (engine) => {
    const text =
      'function FindProxyForURL(url, host) { while (host === "stuck.test") {} return "PROXY " + host + ":1"; }';
    await ask(engine, text);
    const stuck = ask(engine, text, 'stuck.test');
    const others = ['b.test', 'c.test', 'd.test'].map((host) => resultOf(ask(engine, text, host)));
    const first = await Promise.race([stuck, Promise.all(others)]);
    assert.deepEqual(first, ['PROXY b.test:1', 'PROXY c.test:1', 'PROXY d.test:1']);
    assert.equal(await resultOf(stuck), '!the script did not answer within 2000 ms');
    const started = performance.now();
    assert.match(await resultOf(ask(engine, text, 'stuck.test')), /not run again yet$/);
    assert.ok(performance.now() - started < 1000);
  }));

test('many hosts that loop at once delay the others only a little', () =>
  withEngine({ deadlineMs: 5_000 }, async (engine) => {
    const text = 'function FindProxyForURL(url, host) { while (host.startsWith("loop")) {} return "DIRECT"; }';
    assert.equal(await resultOf(ask(engine, text, 'warm.test')), 'DIRECT');
    const startedMs = performance.now();
    const stuck = Array.from({ length: 8 }, (_, at) => resultOf(ask(engine, text, `loop${at}.test`)));
    const others = await Promise.all(Array.from({ length: 50 }, (_, at) => resultOf(ask(engine, text, `a${at}.test`))));
    const tookMs = performance.now() - startedMs;
    assert.deepEqual(new Set(others), new Set(['DIRECT']));
    assert.ok(tookMs < 1_500, `${tookMs} ms`);
    for (const one of await Promise.all(stuck)) assert.match(one, /^!the script did not answer within 5000 ms/);
  }));

test('the main thread goes on while a script loops', () =>
  withEngine({ deadlineMs: 1500 }, async (engine) => {
    const text = 'function FindProxyForURL(url, host) { while (host !== "good.test") {} return "DIRECT"; }';
    await ask(engine, text, 'good.test');
    const resolutionMs = 1;
    const delay = monitorEventLoopDelay({ resolution: resolutionMs });
    delay.enable();
    await ask(engine, text, 'loop.test');
    delay.disable();
    assert.ok(delay.percentile(99) / 1e6 < 20, `p99 is ${delay.percentile(99) / 1e6} ms`);
  }));

test('an evaluation ends when its request is cancelled, and its run is stopped', () =>
  withEngine({ deadlineMs: 60_000 }, async (engine) => {
    const text = 'function FindProxyForURL(url, host) { while (host === "loop.test") {} return "DIRECT"; }';
    await ask(engine, text);
    const gone = new AbortController();
    const left = ask(engine, text, 'loop.test', gone.signal);
    gone.abort();
    assert.equal(await resultOf(left), '!the request that needed the result was cancelled');
    assert.equal(await resultOf(ask(engine, text)), 'DIRECT');
  }));

test('evaluations beyond the length of the queue fail, and say why', () =>
  withEngine({}, async (engine) => {
    const text = 'function FindProxyForURL() { return "DIRECT"; }';
    const answers = await Promise.all(Array.from({ length: 2100 }, () => resultOf(ask(engine, text))));
    const refused = answers.filter((answer) => answer === '!2000 other requests wait for the script');
    assert.equal(answers.filter((answer) => answer === 'DIRECT').length + refused.length, 2100);
    assert.ok(refused.length >= 50);
  }));

test('a script that replaces built-in functions harms only the record of its calls', () =>
  withEngine({}, async (engine) => {
    const text = `
      JSON.stringify = Object.prototype.toJSON = Array.prototype.push = function () { throw new Error('mine'); };
      Reflect.apply = Object.defineProperty = undefined;
      function FindProxyForURL(url, host) { return shExpMatch(host, '*.test') ? 'DIRECT' : 'PROXY a:1'; }`;
    assert.equal(await resultOf(ask(engine, text)), 'DIRECT');
  }));

test('a disposed engine fails every evaluation, also those that run', async () => {
  const engine = createPacEngine(NO_NETWORK);
  const open = resultOf(ask(engine, 'function FindProxyForURL() { return "DIRECT"; }'));
  await engine[Symbol.asyncDispose]();
  assert.equal(await open, '!the proxy is stopping');
  assert.equal(await resultOf(ask(engine, '')), '!the proxy is stopping');
});

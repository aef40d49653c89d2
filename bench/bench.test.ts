import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { test } from 'node:test';
import { noLab } from '../test/lab/private.ts';
import { missing } from '../test/support/requires.ts';
import { buildLoad, loadThrough, startOrigin, whyNotBuilt } from './load.ts';
import { MEASUREMENTS } from './measure/all.ts';
import { parseOptions } from './options.ts';
import { PEERS } from './peers/all.ts';
import { asMarkdown, asText, median, ratioOf, tableOf } from './report.ts';
import { type Results, runRounds } from './rounds.ts';
import { bench } from './run.ts';

const skip = whyNotBuilt() ?? (missing('redis-server') || noLab());

test('every measurement gives a number for each of its metrics, through a real Viaduct', { skip }, async () => {
  const options = parseOptions(['--size', 'tiny', '--rounds', '1', '--peers', 'viaduct']);
  const results = await bench(options);
  const viaduct = results.get('viaduct');
  const missing = MEASUREMENTS.flatMap(({ metrics }) => metrics)
    .map(({ name }) => name)
    .filter((name) => !Number.isFinite(viaduct?.get(name)?.[0]));
  assert.deepEqual(missing, []);
});

/** What nginx does as a peer: the first line names the target, all that follows is relayed. */
function headerRelay() {
  return createServer((client) => {
    client.on('error', () => client.destroy());
    client.once('data', (first: Buffer) => {
      const end = first.indexOf('\r\n');
      const [, , , , , port] = first.toString('latin1', 0, end).split(' ');
      const target = connect(Number(port), '127.0.0.1').on('error', () => client.destroy());
      target.write(first.subarray(end + 2));
      client.pipe(target).pipe(client);
    });
  }).listen(0, '127.0.0.1');
}

test('a relay without HTTP is given its target in a PROXY header, and then only bytes', { skip }, async () => {
  const nginx = PEERS.find(({ name }) => name === 'nginx-relay');
  assert.ok(nginx);
  buildLoad();
  using origin = await startOrigin();
  using relay = { server: headerRelay(), [Symbol.dispose]: () => void relay.server.close() };
  await once(relay.server, 'listening');
  const { port } = relay.server.address() as AddressInfo;
  const target = { peer: nginx, port };
  const setup = await loadThrough(target, 'setup', origin.echo, 20, 4);
  const down = await loadThrough(target, 'down', origin.source, 2, 1_000);
  const up = await loadThrough(target, 'up', origin.sink, 2, 1_000);
  assert.deepEqual([setup.count, setup.failures, down.bytes, up.bytes], [20, 0, 2_000, 2_000]);
});

test('each metric has a name of its own, since results are kept by it', () => {
  const names = MEASUREMENTS.flatMap(({ metrics }) => metrics.map(({ name }) => name));
  assert.deepEqual(names, [...new Set(names)]);
});

test('an instance that was disposed leaves no process', {
  skip: skip || !existsSync('/proc/self/stat'),
}, async () => {
  const { startInstance } = await import('./instance.ts');
  const viaduct = PEERS.find(({ name }) => name === 'viaduct');
  assert.ok(viaduct);
  const instance = await startInstance(viaduct);
  assert.equal(existsSync(`/proc/${instance.pid}`), true);
  await instance[Symbol.asyncDispose]();
  assert.equal(existsSync(`/proc/${instance.pid}`), false);
});

test('a whole run writes the page, a partial one does not', () => {
  assert.equal(parseOptions([]).out, 'docs/BENCHMARKS.md');
  assert.equal(parseOptions(['--quick']).out, undefined);
  assert.equal(parseOptions(['--only', 'bulk']).out, undefined);
  assert.equal(parseOptions(['--quick', '--out', 'page.md']).out, 'page.md');
  assert.equal(parseOptions(['--quick', '--out', '/page.md']).out, '/page.md');
  assert.throws(() => parseOptions(['--quick', '--out', 'nowhere/page.md']), {
    message: /^--out nowhere\/page\.md: there is no folder .*nowhere$/,
  });
});

test('an unknown name is refused with the list of known ones', () => {
  assert.throws(() => parseOptions(['--only', 'bulk,speed']), {
    message: `--only speed: there are ${MEASUREMENTS.map(({ name }) => name).join(', ')}`,
  });
  assert.throws(() => parseOptions(['--rounds', '0']), { message: '--rounds is 1 to 20' });
});

test('a peer that fails once is left out of that measurement, and the others go on', async () => {
  const [viaduct, squid] = ['viaduct', 'squid'].map((wanted) => PEERS.find(({ name }) => name === wanted));
  assert.ok(viaduct && squid);
  const rounds: string[] = [];
  const lines: string[] = [];
  const none = async () => undefined;
  const results = await runRounds(
    [viaduct, squid].map((peer) => ({ peer, pid: 1, port: 1, [Symbol.asyncDispose]: none })),
    {
      size: 'tiny',
      rounds: 2,
      origin: { source: 0, sink: 0, echo: 0, http: 0, [Symbol.dispose]: () => undefined },
      log: (line) => lines.push(line),
      measurements: [
        {
          name: 'm',
          how: () => '',
          on: 'shared',
          metrics: [{ name: 'a', unit: 's', better: 'lower', digits: 0 }],
          async round(target) {
            rounds.push('peer' in target && target.peer === squid ? 'squid' : 'viaduct');
            if (rounds.at(-1) === 'squid') throw new Error('no');
            return { a: rounds.length };
          },
        },
      ],
    },
  );
  assert.deepEqual(rounds, ['viaduct', 'squid', 'viaduct']);
  assert.deepEqual([...(results.get('viaduct') ?? [])], [['a', [1, 3]]]);
  assert.deepEqual(lines, ['m: round 1 of 2', 'm: squid failed: no', 'm: round 2 of 2']);
});

test('the median of an even number of values lies between the two in the middle', () => {
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([]), undefined);
});

test('ratios are computed round by round; a reference of 0 has none', () => {
  assert.equal(ratioOf([1, 20, 3], [2, 10, 6]), 0.5);
  assert.equal(ratioOf([1], [0]), undefined);
});

test('the table has medians, ratios, and a dash for missing values', () => {
  const measurement = {
    name: 'm',
    how: () => '',
    on: 'shared' as const,
    metrics: [{ name: 'cost', unit: 's', better: 'lower' as const, digits: 1 }],
    round: async () => ({}),
  };
  const results: Results = new Map([
    ['mine', new Map([['cost', [1, 2, 3]]])],
    ['squid', new Map([['cost', [2, 4, 6]]])],
  ]);
  const table = tableOf([measurement], ['mine', 'squid', 'other'], results, 'squid');
  assert.equal(
    asMarkdown(table),
    '|  | mine | squid | other |\n| --- | ---: | ---: | ---: |\n| cost, s | 2.0 (0.50) | 4.0 | – |\n',
  );
  assert.equal(asText(table), '               mine  squid  other\ncost, s  2.0 (0.50)    4.0      –\n');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { tunnelOf } from '../../test/support/gate-consumers.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { Gate, Permit } from '../contracts/stages.ts';
import { createLimits } from './limits.ts';
import { type LimitsInput, limitsSchema } from './options.ts';

const start = (options: LimitsInput, clock = new ManualClock()) => ({
  clock,
  limits: createLimits(limitsSchema.parse(options), { clock, observe: () => {} }),
});

test('names the limits that apply, and only those', () => {
  const { limits } = start({
    bandwidth: [
      { per: 'proxy', rate: '20MiB' },
      { per: 'user', rate: '2MiB', direction: 'down' },
      { rate: '512KiB', match: { hosts: ['.steam.example', '*.cdn.example'] }, priority: 'background' },
      { name: 'guests', per: 'client', rate: '4Mbit', match: { clients: ['192.0.2.0/24'], ports: [443] } },
    ],
    tunnels: { total: 10 },
    requests: { per: 'user', rate: 50 },
    quota: { per: 'user', bytes: '50GiB', every: '30d' },
  });
  const always = ['tunnels total', 'requests-1', 'quota-1'];
  assert.deepEqual(limits.namesFor(tunnelOf()), ['bandwidth-1', 'bandwidth-2', ...always]);
  assert.deepEqual(limits.namesFor(tunnelOf({ host: 'x.steam.example', client: '192.0.2.7' })), [
    'bandwidth-1',
    'bandwidth-2',
    'bandwidth-3',
    'guests',
    ...always,
  ]);
  const permit = limits.acquire(tunnelOf());
  assert.ok(!(permit instanceof Promise));
  assert.deepEqual(permit.limits, limits.namesFor(tunnelOf()));
});

test('an unnamed limit is called by its place in the list, also when its rate is changed, and takes no given name', () => {
  const { limits } = start({
    bandwidth: [
      { rate: '1MiB', burst: 1_000 },
      { rate: '1MiB', burst: 5_000 },
      { name: 'bandwidth-1', per: 'user', rate: '64KiB' },
      { rate: '2MiB', direction: 'up' },
    ],
  });
  const names = ['bandwidth-1-unnamed', 'bandwidth-2', 'bandwidth-1', 'bandwidth-4'];
  assert.deepEqual(limits.namesFor(tunnelOf()), names);
  assert.ok(limits.setRate('bandwidth-2', 5_000));
  assert.deepEqual(limits.namesFor(tunnelOf()), names);
});

test('describes what is counted under each limit', async () => {
  const { limits, clock } = start({
    bandwidth: { name: 'all', rate: '1KiB', burst: 100 },
    tunnels: { client: 3 },
    requests: { per: 'client', rate: 5 },
    quota: { name: 'daily', per: 'client', bytes: 1_000, every: '1d' },
  });
  const permit = limits.acquire(tunnelOf());
  assert.ok(!(permit instanceof Promise));
  assert.equal(permit.down?.take(100), 100);
  const waiting = permit.down?.take(100);
  assert.deepEqual(await limits.describe(), [
    {
      kind: 'bandwidth',
      name: 'all',
      per: 'proxy',
      direction: 'both',
      priority: 'normal',
      rate: 1_024,
      users: 1,
      waiting: 1,
      bytes: 100,
    },
    { kind: 'tunnels', name: 'tunnels client', per: 'client', max: 3, open: 1, waiting: 0, refused: 0 },
    {
      kind: 'requests',
      name: 'requests-1',
      per: 'client',
      rate: 5,
      burst: 5,
      users: 1,
      refused: 0,
    },
    {
      kind: 'quota',
      name: 'daily',
      per: 'client',
      max: 1_000n,
      everyMs: 86_400_000,
      refused: 0,
      users: [{ key: '127.0.0.1', used: 100n, resetsAt: new Date(Date.UTC(2025, 0, 2)) }],
    },
  ]);
  await clock.pass(500);
  assert.equal(await waiting, 100);
});

test('disposing ends every permit, and no timer is left', async () => {
  const { limits, clock } = start({ bandwidth: { rate: 1_000, burst: 10 } });
  const permit = limits.acquire(tunnelOf());
  assert.ok(!(permit instanceof Promise));
  assert.equal(permit.up?.take(10), 10);
  const waiting = permit.up?.take(10);
  await limits[Symbol.asyncDispose]();
  assert.equal(await waiting, 0);
  assert.equal(clock.pending, 0);
});

test('buckets of clients that went away are forgotten once they are full', async () => {
  const { limits, clock } = start({
    bandwidth: { per: 'client', rate: '1MiB' },
    requests: { per: 'client', rate: 100 },
  });
  for (let count = 0; count < 5_000; count++) {
    const permit = limits.acquire(tunnelOf({ client: `10.0.${count >> 8}.${count & 255}` }));
    assert.ok(!(permit instanceof Promise));
    void permit.down?.take(1_000);
    permit[Symbol.dispose]();
    clock.advance(1);
  }
  const states = await limits.describe();
  const requests = states.find((state) => state.kind === 'requests');
  assert.ok(requests?.kind === 'requests' && requests.users < 50, `${requests?.kind === 'requests' && requests.users}`);
});

/** What can happen to a proxy, one after another. */
type Step =
  | { readonly do: 'open'; readonly client: number; readonly user: number; readonly host: number }
  | { readonly do: 'take'; readonly which: number; readonly direction: 'up' | 'down'; readonly bytes: number }
  | { readonly do: 'giveBack'; readonly which: number; readonly bytes: number }
  | { readonly do: 'close'; readonly which: number }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'rate'; readonly rate: number }
  | { readonly do: 'reload'; readonly variant: number };

const steps = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('open' as const), client: fc.nat(2), user: fc.nat(2), host: fc.nat(2) }),
    fc.record({
      do: fc.constant('take' as const),
      which: fc.nat(20),
      direction: fc.constantFrom('up' as const, 'down' as const),
      bytes: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 200_000 })),
    }),
    fc.record({ do: fc.constant('giveBack' as const), which: fc.nat(20), bytes: fc.nat(5_000) }),
    fc.record({ do: fc.constant('close' as const), which: fc.nat(20) }),
    fc.record({ do: fc.constant('pass' as const), ms: fc.nat(400) }),
    fc.record({ do: fc.constant('rate' as const), rate: fc.integer({ min: 1, max: 1_000_000 }) }),
    fc.record({ do: fc.constant('reload' as const), variant: fc.nat(3) }),
  ) satisfies fc.Arbitrary<Step>,
  { maxLength: 60 },
);

const variants: readonly LimitsInput[] = [
  {
    bandwidth: [
      { name: 'all', rate: 100_000 },
      { per: 'user', rate: 40_000 },
    ],
    quota: { per: 'client', bytes: 300_000, every: '1h' },
  },
  {
    bandwidth: [
      { name: 'all', rate: 50_000, burst: 1 },
      { per: 'tunnel', rate: 9_000 },
      { match: { hosts: ['h1'] }, priority: 'background' },
    ],
  },
  {
    bandwidth: [
      { name: 'all', rate: 200_000, direction: 'down' },
      { per: 'host', rate: 5_000 },
      { per: 'user', rate: 40_000 },
    ],
  },
  {},
];

interface Opened {
  readonly permit: Permit;
  readonly gates: Readonly<Record<'up' | 'down', Gate>>;
  /** Takes that are not answered yet, and bytes that may be given back. */
  waiting: number;
  granted: number;
}

test('in any order of operations every take is granted once, and counters balance', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (script) => {
      const { clock, limits } = start(variants[0] ?? {});
      const opened: Opened[] = [];
      let sum = 0;
      for (const [at, step] of script.entries()) {
        const one = 'which' in step ? opened[step.which % (opened.length || 1)] : undefined;
        if (step.do === 'open') {
          const who = { id: `r${at}`, client: `10.0.0.${step.client}`, user: `u${step.user}`, host: `h${step.host}` };
          let permit: Permit | Promise<Permit>;
          try {
            permit = limits.acquire(tunnelOf(who));
          } catch {
            continue; // a quota that is used up
          }
          assert.ok(!(permit instanceof Promise));
          const { up, down } = permit;
          assert.ok(up && down);
          opened.push({ permit, gates: { up, down }, waiting: 0, granted: 0 });
        } else if (step.do === 'take' && one) {
          const seen = (bytes: number) => {
            assert.ok(Number.isInteger(bytes) && bytes >= 0 && bytes <= step.bytes, `${bytes} of ${step.bytes}`);
            one.granted += bytes;
            sum += bytes;
          };
          const answer = one.gates[step.direction].take(step.bytes);
          if (typeof answer === 'number') seen(answer);
          else {
            one.waiting++;
            void answer.then((bytes) => {
              one.waiting--;
              seen(bytes);
            });
          }
        } else if (step.do === 'giveBack' && one && opened.includes(one)) {
          const bytes = Math.min(step.bytes, one.granted);
          one.granted -= bytes;
          sum -= bytes;
          one.gates.down.refund(bytes);
        } else if (step.do === 'close' && one) {
          one.permit[Symbol.dispose]();
          opened.splice(opened.indexOf(one), 1);
          await clock.pass(0);
          assert.equal(one.waiting, 0);
        } else if (step.do === 'pass') await clock.pass(step.ms);
        else if (step.do === 'rate') limits.setRate('all', step.rate);
        else if (step.do === 'reload') limits.update(limitsSchema.parse(variants[step.variant] ?? {}));
      }
      limits.update(limitsSchema.parse({}));
      await clock.pass(1);
      assert.deepEqual(
        opened.map(({ waiting }) => waiting),
        opened.map(() => 0),
        'no take waits without a limit',
      );
      assert.ok(sum >= 0);
      limits.update(limitsSchema.parse({ bandwidth: { rate: 1_000 } }));
      for (const { permit } of opened) permit[Symbol.dispose]();
      const [state] = await limits.describe();
      assert.deepEqual(state?.kind === 'bandwidth' && [state.users, state.waiting], [0, 0]);
      assert.equal(clock.pending, 0);
    }),
    { numRuns: 150 },
  );
});

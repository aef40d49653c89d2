import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tunnelOf } from '../../../test/support/gate-consumers.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { createLimits } from '../limits.ts';
import { limitsSchema, NO_LIMITS } from '../options.ts';
import type { LimitsBackend } from './backend.ts';
import { chooseBackend } from './choose-backend.ts';
import type { ToLimitsClient, ToLimitsServer } from './messages.ts';

const NOTHING: Disposable = { [Symbol.dispose]: () => undefined };

const DEPS = { clock: new ManualClock(), observe: () => {} };

test('a process that is no worker has no backend', () => {
  assert.equal(chooseBackend({ deps: DEPS }), undefined);
});

test('a worker asks its primary for admission', async () => {
  let receive: (messages: readonly ToLimitsClient[]) => void = () => undefined;
  const sent: ToLimitsServer['type'][] = [];
  const backend = chooseBackend({
    deps: DEPS,
    primary: {
      send(messages) {
        for (const message of messages) {
          sent.push(message.type);
          if (message.type === 'admit') receive([{ type: 'admitted', request: message.request }]);
        }
      },
      onMessages: (listener) => {
        receive = listener;
      },
    },
  });
  const options = limitsSchema.parse({ tunnels: { total: 1 } });
  await using limits = createLimits(options, { clock: new ManualClock(), observe: () => {}, backend });
  assert.deepEqual((await limits.acquire(tunnelOf())).limits, ['tunnels total']);
  assert.deepEqual(sent, ['admit']);
});

test('limits dispose their backend when all else has been given back', async () => {
  const ended: string[] = [];
  const backend: LimitsBackend = {
    admit: () => ({ [Symbol.dispose]: () => void ended.push('tunnel') }),
    openBudget: () => ({ want() {}, refund() {}, ...NOTHING }),
    update() {},
    setRate() {},
    describe: () => Promise.resolve([]),
    reportWith() {},
    async [Symbol.asyncDispose]() {
      ended.push('backend');
    },
  };
  const limits = createLimits(NO_LIMITS, { clock: new ManualClock(), observe: () => {}, backend });
  await limits.acquire(tunnelOf());
  await limits[Symbol.asyncDispose]();
  assert.deepEqual(ended, ['tunnel', 'backend']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ConfigInput, resolveOptions } from '../config/schema.ts';
import { type START_SETTINGS, StartSettings } from './start-settings.ts';

/** `workers` is a setting of the command and not of a program. */
const configOf = (input: ConfigInput, workers: number | 'auto' = 1) => ({ ...resolveOptions(input), workers });

/** As a file would say it: what is absent and what is `undefined` are the same. */
const written = (config: unknown): string => JSON.stringify(config);

const CHANGED = {
  workers: configOf({}, 4),
  relay: configOf({ relay: 'portable' }),
  'limits.state': configOf({ limits: { state: '/tmp/other.json' } }),
  'limits.store': configOf({ limits: { store: 'redis://127.0.0.1:6379', onStoreDown: 'deny' } }),
  verbose: configOf({ verbose: true }),
  admin: configOf({ admin: { listen: 'localhost:4000' } }),
} satisfies Record<keyof typeof START_SETTINGS, unknown>;

for (const [name, changed] of Object.entries(CHANGED)) {
  test(`${name} keeps the value of the start, and one line says that the new one applies from the next start`, () => {
    const atStart = configOf({});
    const settings = new StartSettings(atStart);
    const { config, notices, commit } = settings.reloadable({ ...changed, name: 'other' });
    assert.equal(written(config), written({ ...atStart, name: 'other' }));
    assert.equal(notices.length, 1);
    assert.match(notices[0] ?? '', new RegExp(`^${name}: the new value applies from the next start: [a-z]`));
    commit();
    // It was said; the value is kept all the same, by this reload and by one that takes the change back.
    assert.deepEqual(settings.reloadable(changed).notices, []);
    assert.equal(written(settings.reloadable(changed).config), written(atStart));
    const back = settings.reloadable(atStart);
    assert.deepEqual([back.config, back.notices], [atStart, []]);
    back.commit();
    assert.equal(settings.reloadable(changed).notices.length, 1);
  });
}

test('several settings are several lines, and a reload that was abandoned is reported by the next one', () => {
  const settings = new StartSettings(configOf({}));
  const next = configOf({ relay: 'portable', limits: { state: '/tmp/other.json' } }, 'auto');
  assert.equal(settings.reloadable(next).notices.length, 3);
  assert.equal(settings.reloadable(next).notices.length, 3);
});

test('a configuration that changes none of them is put in force as it is', () => {
  const next = configOf({ name: 'other', timeouts: { idle: '1m' } });
  assert.equal(new StartSettings(configOf({})).reloadable(next).config, next);
});

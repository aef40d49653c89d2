import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { ModeSwitch } from './mode-switch.ts';

function switched() {
  const clock = new ManualClock();
  const notices: string[] = [];
  const observe = (event: { readonly type: string }) => {
    if ('message' in event) notices.push(String(event.message));
  };
  return { clock, notices, mode: new ModeSwitch({ clock, observe }) };
}

test('a mode with an expiry outlives reloads, ends once, and says so', () => {
  const { clock, notices, mode } = switched();
  mode.set('direct', clock.wallMs() + 5_000);
  mode.reloaded();
  clock.advance(4_999);
  assert.equal(mode.state.mode, 'direct');
  clock.advance(1);
  assert.deepEqual(mode.state, { mode: 'configured' });
  clock.advance(60_000);
  assert.deepEqual(notices, ['the mode direct is over: routes are as configured']);
});

test('a mode without an expiry ends with a reload; another mode replaces the first and its expiry', () => {
  const { clock, notices, mode } = switched();
  mode.set('direct', clock.wallMs() + 5_000);
  mode.set('pac', undefined);
  clock.advance(10_000);
  assert.deepEqual(mode.state, { mode: 'pac' });
  mode.reloaded();
  assert.deepEqual(mode.state, { mode: 'configured' });
  mode.reloaded();
  assert.deepEqual(notices, ['the mode pac is over: routes are as configured']);
});

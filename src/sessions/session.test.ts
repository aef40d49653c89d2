import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recordOf } from '../../test/support/records.ts';
import { type SessionFilter, sessionOf, sessionTest } from './session.ts';

const ofAnn = sessionOf({
  step: 'relay',
  record: { ...recordOf('a'), principal: 'ann', target: { host: 'a.example', port: 443 } },
});
const withoutUser = sessionOf({ step: 'relay', record: { ...recordOf('b'), principal: undefined } });

/** Those of both that the filter picks. */
const picked = (filter: SessionFilter) => [ofAnn, withoutUser].filter(sessionTest(filter)).map(({ id }) => id);

test('a filter picks the sessions that match all that it gives', () => {
  assert.deepEqual(picked({}), ['a', 'b']);
  assert.deepEqual(picked({ user: 'ann', host: 'A.Example.' }), ['a']);
  assert.deepEqual(picked({ user: 'ann', host: 'b.example' }), []);
  assert.deepEqual(
    picked(({ user }) => user === undefined),
    ['b'],
  );
});

test('a user that is given as undefined is not every user', () => {
  assert.deepEqual(picked({ user: undefined }), ['b']);
});

test('a filter with another key, or that is no object, throws and picks no session', () => {
  for (const [text, why] of [
    ['{ "users": "ann" }', /^TypeError: a filter of sessions has no users: write a function, or an object with user, /],
    ['"ann"', /^TypeError: a filter of sessions: write a function/],
    ['null', /^TypeError: a filter of sessions: write a function/],
  ] as const) {
    assert.throws(() => sessionTest(JSON.parse(text)), why);
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Exporter, ProxyEvent } from '../contracts/event.ts';
import { hub } from './hub.ts';

const listener = (name: string, observe: Exporter['observe'], closed: string[] = []): Exporter => ({
  name,
  observe,
  [Symbol.asyncDispose]: async () => void closed.push(name),
});
const event: ProxyEvent = { type: 'established', id: '1' };

test('every exporter receives every event, in the order in which they were added', () => {
  const heard: string[] = [];
  const all = hub([listener('a', (e) => heard.push(`a ${e.type}`))]);
  all.add(listener('b', (e) => heard.push(`b ${e.type}`)));
  all.observe(event);
  assert.deepEqual(heard, ['a established', 'b established']);
  assert.equal(all.size, 2);
});

test('an exporter that is for some types receives no other, whenever it is added or taken out', async () => {
  const heard: string[] = [];
  const only = ['notice'] as const;
  const all = hub([listener('a', (e) => heard.push(`a ${e.type}`))]);
  const say = () => {
    all.observe(event);
    all.observe({ type: 'notice', level: 'info', message: 'hello' });
    return heard.splice(0);
  };
  assert.deepEqual(say(), ['a established', 'a notice']);
  const added = all.add({ ...listener('b', (e) => heard.push(`b ${e.type}`)), only });
  assert.deepEqual(say(), ['a established', 'a notice', 'b notice']);
  await added[Symbol.asyncDispose]();
  assert.deepEqual(say(), ['a established', 'a notice']);
});

test('an exporter that throws does not affect the others, is reported once, and is called again', () => {
  const heard: string[] = [];
  let calls = 0;
  const all = hub([
    listener('broken', () => {
      calls += 1;
      throw new Error('disk on fire');
    }),
    listener('fine', (e) => heard.push(e.type === 'notice' ? e.message : e.type)),
  ]);
  all.observe(event);
  all.observe(event);
  assert.deepEqual(heard, ['the exporter "broken" failed: disk on fire', 'established', 'established']);
  assert.equal(calls, 3);
});

test('disposing a subscription flushes that exporter only; disposing the hub flushes the rest, the newest first', async () => {
  const closed: string[] = [];
  const heard: string[] = [];
  const all = hub([listener('notices', () => {}, closed), listener('log', () => {}, closed)]);
  const added = all.add(listener('live', (e) => heard.push(e.type), closed));
  await added[Symbol.asyncDispose]();
  await added[Symbol.asyncDispose]();
  all.observe(event);
  assert.deepEqual(heard, []);
  assert.deepEqual(closed, ['live']);
  await all[Symbol.asyncDispose]();
  assert.deepEqual(closed, ['live', 'log', 'notices']);
  assert.equal(all.size, 0);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_SLOT, type SlotItem, SlotList } from './slot-list.ts';

class Name implements SlotItem {
  slot = NO_SLOT;
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

const namesIn = (roster: SlotList<Name>): string[] => [...roster].map(({ name }) => name).sort();

test('holds what was added and not removed, in whichever order it is removed', () => {
  for (const order of ['abc', 'acb', 'bac', 'bca', 'cab', 'cba']) {
    const roster = new SlotList<Name>();
    const items = new Map(['a', 'b', 'c'].map((name) => [name, new Name(name)]));
    for (const item of items.values()) roster.add(item);
    let left = ['a', 'b', 'c'];
    for (const name of order) {
      const item = items.get(name);
      assert.ok(item && roster.has(item));
      assert.equal(roster.delete(item), true);
      assert.equal(roster.delete(item), false);
      left = left.filter((one) => one !== name);
      assert.deepEqual(namesIn(roster), left);
      assert.equal(roster.size, left.length);
      assert.equal(item.slot, NO_SLOT);
    }
  }
});

test('removing what is not in it changes nothing', () => {
  const roster = new SlotList<Name>();
  const other = new SlotList<Name>();
  const here = new Name('here');
  const there = new Name('there');
  roster.add(here);
  other.add(there);
  assert.equal(roster.delete(there), false);
  assert.equal(roster.delete(new Name('nowhere')), false);
  assert.deepEqual(namesIn(roster), ['here']);
  assert.deepEqual(namesIn(other), ['there']);
});

test('an element that is removed before its turn is not visited', () => {
  const roster = new SlotList<Name>();
  const items = [...'abcd'].map((name) => new Name(name));
  for (const item of items) roster.add(item);
  const met: string[] = [];
  for (const { name } of roster) {
    met.push(name);
    const [, second] = items;
    if (second !== undefined) roster.delete(second);
  }
  assert.deepEqual(met, ['a', 'c', 'd']);
});

test('an iteration visits every element, while elements are removed and added', () => {
  const roster = new SlotList<Name>();
  for (const name of 'abcd') roster.add(new Name(name));
  const met: string[] = [];
  for (const item of roster) {
    met.push(item.name);
    roster.delete(item);
    roster.add(new Name(`after ${item.name}`));
  }
  assert.deepEqual(met, ['a', 'b', 'c', 'd']);
  assert.deepEqual(namesIn(roster), ['after a', 'after b', 'after c', 'after d']);
});

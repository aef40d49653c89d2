import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { START_SETTINGS } from '../src/app/start-settings.ts';
import { schemaAt } from '../src/config/json-schema.ts';
import { checkInput, configJsonSchema } from '../src/config/schema.ts';
import { configPage, keysOf, reloadEffect } from './config-page.ts';
import { AT_ONCE, SECTIONS } from './config-sections.ts';

test('every setting stands in one section of docs/CONFIG.md', () => {
  const keys = SECTIONS.flatMap(keysOf);
  assert.deepEqual(keys.toSorted(), Object.keys(configJsonSchema().properties ?? {}).toSorted());
});

for (const section of SECTIONS) {
  const { title, example } = section;
  test(`the example of ${title} is valid and shows one of its settings`, () => {
    const values: unknown = parse(example);
    assert.deepEqual(checkInput(values).problems, []);
    assert.ok(keysOf(section).some((key) => Object.hasOwn(Object(values), key)));
  });
}

test('the effects of a reload are of settings that exist, and the nearest path decides', () => {
  for (const path of [...AT_ONCE, ...Object.keys(START_SETTINGS)])
    assert.notDeepEqual(schemaAt(configJsonSchema(), path.split('.')), {}, path);
  assert.equal(reloadEffect('limits.bandwidth[].rate'), 'at once');
  assert.equal(reloadEffect('limits.state'), 'next start');
  assert.equal(reloadEffect('timeouts.drain'), 'at once');
  assert.equal(reloadEffect('timeouts.idle'), 'new requests');
});

test('every section can be linked to', () => {
  const page = configPage();
  for (const { title } of SECTIONS) {
    assert.match(title, /^[a-z]+$/, 'the anchor of a heading is its text in small letters');
    assert.match(page, new RegExp(`^### ${title}$`, 'm'));
  }
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ROOT } from '../../scripts/tools.ts';
import { apiDescription } from '../../src/admin/openapi.ts';
import type { Schema } from '../../src/admin/openapi-schemas.ts';

interface Member {
  readonly name: string;
  readonly isOptional: boolean;
  readonly type: string;
}

/** The interfaces of the file, as far as it is written: `readonly name?: type;` on a line each. */
function interfacesIn(source: string): Map<string, readonly Member[]> {
  const found = new Map<string, readonly Member[]>();
  for (const [, name = '', body = ''] of source.matchAll(/^export interface (\w+) \{\n(.*?)^\}/gms)) {
    const members = Array.from(
      body.matchAll(/^ {2}readonly (\w+)(\??): (.+);$/gm),
      ([, member = '', mark, type = '']) => {
        return { name: member, isOptional: mark === '?', type };
      },
    );
    const lines = body.split('\n').filter((line) => line.startsWith('  readonly '));
    assert.equal(members.length, lines.length, `${name} has a member that this test cannot read`);
    found.set(name, members);
  }
  return found;
}

const source = readFileSync(`${ROOT}dashboard/src/api/shape.ts`, 'utf8');
const interfaces = interfacesIn(source);
const { schemas } = apiDescription('0').components;

/** The words of a union of texts, also of one that has a name in the file. */
function wordsOf(type: string): readonly string[] {
  const named = new RegExp(`^export type ${type} = (.+);$`, 'm').exec(source)?.[1] ?? type;
  return [...named.matchAll(/'([^']+)'/g)].map(([, word = '']) => word);
}

const nameIn = ($ref = ''): string => $ref.replace('#/components/schemas/', '');

/** Whether a type of the page takes what the schema allows. */
function problemOf(type: string, schema: Schema): string | undefined {
  if (schema.$ref !== undefined) {
    const known = nameIn(schema.$ref);
    return type === known || type.startsWith('{ ') ? undefined : `${type} is not ${known}`;
  }
  const given = [schema.type ?? []].flat();
  const taken = type.split(' | ');
  if (taken.includes('unknown')) return undefined;
  for (const one of given) {
    const isTaken = {
      string: taken.includes('string') || wordsOf(type).length > 0,
      number: taken.includes('number'),
      integer: taken.includes('number'),
      boolean: taken.includes('boolean'),
      array: /^readonly \w+\[\]$/.test(type),
      object: /^Readonly<Record<string, \w+>>$/.test(type),
    }[one];
    if (isTaken !== true) return `${type} does not take ${one}`;
  }
  const words = wordsOf(type);
  const missed = words.length === 0 ? [] : (schema.enum ?? ['any text']).filter((word) => !words.includes(word));
  return missed.length === 0 ? undefined : `${type} does not take ${missed.join(', ')}`;
}

test('what the page reads is what the API is described to send', () => {
  const problems: string[] = [];
  for (const [name, members] of interfaces) {
    const schema = schemas[name];
    if (schema === undefined) {
      problems.push(`${name}: the API has no such schema`);
      continue;
    }
    for (const { name: member, isOptional, type } of members) {
      const property = schema.properties?.[member];
      const where = `${name}.${member}`;
      if (property === undefined) problems.push(`${where}: the API sends no such member`);
      else {
        if (!isOptional && !schema.required?.includes(member)) problems.push(`${where}: the API may leave it out`);
        const problem = problemOf(type, property);
        if (problem !== undefined) problems.push(`${where}: ${problem}`);
      }
    }
  }
  assert.deepEqual(problems, []);
  assert.ok(interfaces.size >= 12, `${interfaces.size} interfaces`);
});

test('the page knows every member of a row', () => {
  const known = new Set(interfaces.get('Row')?.map(({ name }) => name));
  assert.deepEqual(
    Object.keys(schemas.Row?.properties ?? {}).filter((name) => !known.has(name)),
    [],
  );
});

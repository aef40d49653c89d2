import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type * as z from 'zod';
import { accessSchema, guardSchema } from './options.ts';

/** Paths of what is wrong, as `0.allow.ports.0`. */
function problems(schema: typeof accessSchema | typeof guardSchema, value: unknown): string[] {
  const { error } = schema.safeParse(value);
  return (error?.issues ?? []).flatMap((issue) => pathsOf(issue));
}

/** Of a value that may also be a list: what is wrong with it as the list that it is. */
function pathsOf(issue: z.core.$ZodIssue, before: readonly PropertyKey[] = []): string[] {
  const path = [...before, ...issue.path];
  const [asList = []] = issue.code === 'invalid_union' ? issue.errors : [];
  if (asList.length > 0) return asList.flatMap((inner) => pathsOf(inner, path));
  return [[...path, ...('keys' in issue ? issue.keys : [])].join('.')];
}

describe('a rule', () => {
  test('needs exactly one verdict', () => {
    for (const rule of [{}, { name: 'x' }, { allow: {}, deny: {} }, { allow: {}, default: 'deny' }]) {
      assert.deepEqual(problems(accessSchema, [{ allow: {} }, rule]), ['1']);
    }
    assert.deepEqual(problems(accessSchema, [{ allow: {} }, { deny: {} }, { default: 'allow' }]), []);
  });
  test('has no keys but the known ones', () => {
    assert.deepEqual(problems(accessSchema, [{ allow: { host: ['a'] } }]), ['0.allow.host']);
    assert.deepEqual(problems(accessSchema, [{ allow: {}, reprot: true }]), ['0.reprot']);
  });
  test('that is the default comes last', () => {
    assert.deepEqual(problems(accessSchema, [{ default: 'deny' }, { allow: {} }]), ['0.default']);
    assert.deepEqual(problems(accessSchema, [{ default: 'maybe' }]), ['0.default']);
  });
  test('points at the member of a list that is wrong', () => {
    const wrong: Record<string, unknown[]> = {
      hosts: [
        '',
        '.',
        'a b',
        'http://a',
        'a:443',
        'a/b',
        '..a',
        'a..b',
        '.a*',
        '10.0.0.0/33',
        '127.1',
        '0x7f.1',
        '1.2.3.4.',
        '[a]',
        'u@a',
        'a%2e',
      ],
      ports: [0, 65_536, 1.5, '0', '443-', '9-8', '1-65536', 'https', '08', true],
      methods: ['', 'G T', 'GET,POST'],
      users: [''],
      clients: ['localhost', '10.0.0.0/33', 'fe80::1%eth0', '10.0.0', ''],
      times: [
        { days: ['friday'] },
        { from: '8:00' },
        { to: '25:00' },
        { zone: 'Mars' },
        { from: '08:00', to: '08:00' },
        { day: 'mon' },
      ],
    };
    for (const [key, members] of Object.entries(wrong)) {
      for (const member of members) {
        const found = problems(accessSchema, [{ allow: { [key]: [member] } }]);
        assert.ok(
          found.length > 0 && found.every((path) => path.startsWith(`0.allow.${key}.0`)),
          `${key}: ${JSON.stringify(member)}: ${found}`,
        );
      }
    }
  });
  test('may have one value in the place of a list', () => {
    const times = { days: 'mon-fri', from: '08:00', to: '18:00' };
    const single = { hosts: '.ads.example', ports: 443, methods: 'GET', users: 'ann', clients: '10.0.0.0/8', times };
    const { data } = accessSchema.safeParse([{ deny: single }, { allow: { ports: '8000-8999' } }]);
    assert.deepEqual(data, [
      {
        deny: {
          hosts: ['.ads.example'],
          ports: [443],
          methods: ['GET'],
          users: ['ann'],
          clients: ['10.0.0.0/8'],
          times: [{ days: ['mon-fri'], from: '08:00', to: '18:00' }],
        },
      },
      { allow: { ports: ['8000-8999'] } },
    ]);
    assert.deepEqual(guardSchema.parse({ deny: 'private', allow: '10.20.0.0/16' }), {
      deny: ['private'],
      allow: ['10.20.0.0/16'],
    });
  });
  test('may not list nothing, since it would match nothing', () => {
    assert.deepEqual(problems(accessSchema, [{ allow: { hosts: [] } }]), ['0.allow.hosts']);
  });
});

test('a guard takes words, blocks, and exceptions with a port', () => {
  assert.deepEqual(
    problems(guardSchema, {
      deny: ['private', '10.0.0.0/8', '::1'],
      allow: ['10.0.0.1', '10.0.0.0/8:443', '[::1]:80', '::1', 'fd00::/8'],
    }),
    [],
  );
  assert.deepEqual(
    problems(guardSchema, {
      deny: ['privat', 'public', 'a.example'],
      allow: ['a:80', '[10.0.0.1]:80', '10.0.0.1:0', '10.0.0.1:65536', ':80', '[::1]:'],
    }),
    ['deny.0', 'deny.1', 'deny.2', 'allow.0', 'allow.1', 'allow.2', 'allow.3', 'allow.4', 'allow.5'],
  );
  assert.deepEqual(problems(guardSchema, { denny: [] }), ['denny']);
});

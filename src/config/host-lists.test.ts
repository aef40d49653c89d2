import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { temporaryFolder } from '../../test/support/temporary.ts';
import { FLAGS } from './flags.ts';
import { ConfigError } from './problems.ts';
import { resolveOptions } from './schema.ts';
import { type LoadedConfig, load } from './sources.ts';

const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());
const write = (name: string, text: string | Buffer): string => {
  writeFileSync(join(folder.path, name), text);
  return join(folder.path, name);
};

function loaded(text: string): LoadedConfig {
  const flag = FLAGS.find(({ name }) => name === 'config');
  assert.ok(flag);
  const path = write('viaduct.yaml', text);
  return load({ flags: [{ flag, text: path, label: '--config' }], environment: {}, isTerminal: false });
}

function refusal(text: string): readonly string[] {
  try {
    loaded(text);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.lines.map((line) => line.replaceAll(`${folder.path}/`, ''));
  }
  return assert.fail('was not refused');
}

test('hosts of access rules, limits and routes come from files beside the configuration, one on each line', () => {
  write('ads.txt', '# advertisements\r\n.ads.example\r\n\r\n  tracker.example  # one more\r\n*.münchen.example\r\n');
  write('slow.txt', '.slow.example');
  const hosts = ['.ads.example', 'tracker.example', '*.xn--mnchen-3ya.example'];
  const { config, values, lists } = loaded(`
access:
  - { name: ads, deny: { hosts: "file:ads.txt" } }
  - { allow: { hosts: "file:${join(folder.path, 'ads.txt')}", ports: [443] } }
limits: { bandwidth: { match: { hosts: "file:slow.txt" }, rate: 1MiB } }
routes: { rules: [{ hosts: "file:ads.txt", via: direct }] }
`);
  assert.deepEqual(config.access, [{ name: 'ads', deny: { hosts } }, { allow: { hosts, ports: [443] } }]);
  assert.deepEqual(config.limits.bandwidth[0]?.match, { hosts: ['.slow.example'] });
  assert.deepEqual(config.routes.rules[0]?.hosts, hosts);
  assert.deepEqual(
    lists.map(({ path, file }) => [path.join('.'), file.replace(`${folder.path}/`, '')]),
    [
      ['access.0.deny.hosts', 'ads.txt'],
      ['access.1.allow.hosts', 'ads.txt'],
      ['limits.bandwidth.match.hosts', 'slow.txt'],
      ['routes.rules.0.hosts', 'ads.txt'],
    ],
  );
  // What was written stays what is shown: a name, and not all that is in it.
  assert.match(JSON.stringify(values), /"hosts":"file:[^"]*ads\.txt"/);
});

test('a program names such files too', () => {
  const file = write('library.txt', 'a.example\n');
  const { access } = resolveOptions({ access: [{ deny: { hosts: `file:${file}` } }] });
  assert.deepEqual(access, [{ deny: { hosts: ['a.example'] } }]);
});

test('a mistake in such a file is reported with its line, and one of the file with the setting', () => {
  write('wrong.txt', 'a.example\n# c\nb c\n');
  write('empty.txt', '# nothing\n');
  const file = (list: string) => `# first\naccess:\n  - deny: { hosts: "file:${list}" }\n`;
  const what = 'is not a valid host; write a name, .suffix, a name with *, an address or a block';
  assert.deepEqual(refusal(file('wrong.txt')), [`viaduct.yaml:3: access[0].deny.hosts: wrong.txt:3: ${what}`]);
  assert.deepEqual(refusal(file('none.txt')), [
    'viaduct.yaml:3: access[0].deny.hosts: none.txt: cannot be read: there is no such file',
  ]);
  assert.deepEqual(refusal(file('empty.txt')), [
    'viaduct.yaml:3: access[0].deny.hosts: empty.txt: names no host; write one on each line',
  ]);
  const many = Array.from({ length: 65 }, (_, at) => {
    write(`list${at}.txt`, 'a.example\n');
    return `  - deny: { hosts: "file:list${at}.txt" }\n`;
  });
  assert.deepEqual(refusal(`access:\n${many.join('')}`), [
    'viaduct.yaml:66: access[64].deny.hosts: names one file more than the 64 that lists may come from',
  ]);
});

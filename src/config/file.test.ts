import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfigFile, problemInFile } from './file.ts';
import { ConfigError } from './problems.ts';
import { checkInput } from './schema.ts';

/** The messages about a file: parse errors, or one line for each wrong setting. */
function messagesFor(text: string, name = 'viaduct.yaml'): readonly string[] {
  try {
    const file = parseConfigFile(text, name);
    return checkInput(file.values).problems.map(({ path, message }) => problemInFile(file, path, message));
  } catch (error) {
    if (error instanceof ConfigError) return error.lines;
    throw error;
  }
}

const MISTAKES: readonly (readonly [what: string, text: string, line: string])[] = [
  [
    'an unknown key, with the one that was meant',
    'listen: localhost\ntimouts: { idle: 1h }\n',
    'viaduct.yaml:2: timouts: no such setting; did you mean timeouts?',
  ],
  [
    'an unknown key far from any other',
    'limits:\n  tunnels:\n    spoons: 3\n',
    'viaduct.yaml:3: limits.tunnels.spoons: no such setting; known here: total, client, user, wait, queue',
  ],
  [
    'an unknown key inside a list',
    'access:\n  - name: a\n    allow:\n      host: [x.example]\n',
    'viaduct.yaml:4: access[0].allow.host: no such setting; did you mean hosts?',
  ],
  [
    'a duration that is none',
    'timeouts:\n  connect: 10s\n  idle: soon\n',
    'viaduct.yaml:3: timeouts.idle: "soon" is not a duration; write for example 30s, 5m or 1h30m',
  ],
  [
    'a wait that no timer can hold',
    'timeouts: { idle: 30d }\n',
    'viaduct.yaml:1: timeouts.idle: 30d is longer than any wait here; write at most 24d',
  ],
  [
    'a wait of nothing where that would refuse everything',
    'timeouts: { connect: 0 }\n',
    'viaduct.yaml:1: timeouts.connect: 0 would give up before anything can happen; write for example 30s',
  ],
  [
    'a negative rate',
    'limits:\n  bandwidth:\n    - per: proxy\n      rate: -5\n',
    'viaduct.yaml:4: limits.bandwidth[0].rate: -5 is not a rate',
  ],
  [
    'a word that is none of the known ones',
    'log: { format: preety }\n',
    'viaduct.yaml:1: log.format: is "preety"; did you mean pretty? write pretty, json, clf, squid or off',
  ],
  ['a port that is none', 'port: 70000\n', 'viaduct.yaml:1: port: is 70000; write at most 65535'],
  [
    'a text where a number belongs',
    'port: high\n',
    'viaduct.yaml:1: port: is "high"; write a number: Port of the listeners that name none; 0 picks a free one.',
  ],
  [
    'a key without a value',
    'name: x\nclients:\n',
    'viaduct.yaml:2: clients: is empty; write settings of the form `key: value`: Who may use the proxy.',
  ],
  [
    'an address where settings belong',
    'admin: 127.0.0.1:3129\n',
    'viaduct.yaml:1: admin: is "127.0.0.1:3129"; write true or false or settings of the form `key: value`: The dashboard, the API and the metrics; an address stands in `listen`: `admin: { listen: localhost:3129 }`. `false`: none.',
  ],
  [
    'a list where one thing belongs',
    'name: [a]\n',
    'viaduct.yaml:1: name: is a list; write a text: Our name in `Via` and `Proxy-Status`.',
  ],
  [
    'a name that would break Via',
    'name: "a b"\n',
    'viaduct.yaml:1: name: is not a valid name for Via; write letters, digits, dots and dashes, beginning with a letter',
  ],
  [
    'a setting of a listener that there is not',
    'listen:\n  - url: https://127.0.0.1:8443\n    tls: { cert: a.pem, key: a.key, crl: b.pem }\n',
    'viaduct.yaml:3: listen[0].tls.crl: no such setting; known here: cert, key, certificates, clientCa, clientCert, clientCrl, user',
  ],
  [
    'a listener that is a port alone',
    'listen: ["8080"]\n',
    'viaduct.yaml:1: listen[0]: "8080" is a port alone; write localhost:8080',
  ],
  [
    'the same setting twice',
    'name: a\nname: b\n',
    'viaduct.yaml:2: the same setting is written twice; keep one of the two',
  ],
  ['a tab', 'log:\n\tformat: json\n', 'viaduct.yaml:2: a tab indents this line; YAML wants spaces'],
  ['no map at all', '- a\n- b\n', 'viaduct.yaml:1: has no settings of the form `key: value`'],
];

for (const [what, text, line] of MISTAKES) {
  test(`a file is refused with line and key: ${what}`, () => assert.deepEqual(messagesFor(text), [line]));
}

test('every mistake of a file is reported, each with its line', () => {
  assert.deepEqual(messagesFor('port: 70000\nnam: x\n'), [
    'viaduct.yaml:1: port: is 70000; write at most 65535',
    'viaduct.yaml:2: nam: no such setting; did you mean name?',
  ]);
});

test('broken YAML is reported in one line with its place', () => {
  const [line = '', ...more] = messagesFor('log: { format: json\nname: x\n');
  assert.match(line, /^viaduct\.yaml:\d+: is not valid YAML: [^\n]+$/);
  assert.deepEqual(more, []);
});

test('JSON keeps its line numbers', () => {
  assert.deepEqual(messagesFor('{\n  "name": "x",\n  "prot": 1\n}\n', 'v.json'), [
    'v.json:3: prot: no such setting; did you mean port?',
  ]);
});

test('an empty file and a file of comments set nothing', () => {
  assert.deepEqual(messagesFor(''), []);
  assert.deepEqual(messagesFor('# later\n'), []);
});

test('anchors and merge keys work, and an alias is reported where it stands', () => {
  const text = 'limits:\n  bandwidth:\n    - &slow { rate: 1MiB }\n    - { <<: *slow, per: client }\n';
  assert.deepEqual(messagesFor(text), []);
});

test('aliases that multiply are refused before they fill the memory', () => {
  const level = (at: number) =>
    `l${at}: &l${at} [${Array(20)
      .fill(`*l${at - 1}`)
      .join(', ')}]`;
  const text = ['l0: &l0 [x]', level(1), level(2), level(3), level(4), level(5)].join('\n');
  assert.match(messagesFor(text)[0] ?? '', /^viaduct\.yaml: Excessive alias count/);
});

test('relative paths are relative to the file', () => {
  const text = 'clients: { users: users.htpasswd }\nlog: { file: /var/log/a.log }\nlisten: [unix:v.sock, localhost]\n';
  assert.deepEqual(parseConfigFile(text, '/etc/viaduct/viaduct.yaml').values, {
    clients: { users: '/etc/viaduct/users.htpasswd' },
    log: { file: '/var/log/a.log' },
    listen: ['unix:/etc/viaduct/v.sock', 'localhost'],
  });
});

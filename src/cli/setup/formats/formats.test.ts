import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BLOCK } from './block.ts';
import { type Format, FormatError, type Key } from './format.ts';
import { JSON_FORMAT } from './json.ts';
import { CURLRC, GIT_CONFIG, INI, KCONFIG, NPMRC, PROPERTIES, WGETRC, YARNRC } from './lines.ts';
import { TOML } from './toml.ts';
import { XML } from './xml.ts';
import { YAML } from './yaml.ts';

interface Case {
  readonly title: string;
  readonly format: Format;
  readonly key: Key;
  readonly value: string;
  readonly before: string;
  readonly after: string;
  /** What stood there; absent: nothing. */
  readonly was?: string;
  /** What is left once the key is removed again; default: the text before. */
  readonly removed?: string;
}

const cases: readonly Case[] = [
  {
    title: 'JSON: an array is read back as it was given',
    format: JSON_FORMAT,
    key: ['http.noProxy'],
    value: '["localhost","::1"]',
    before: '{\r\n  // mine\r\n  "a": 1\r\n}',
    after: '{\r\n  // mine\r\n  "a": 1,\r\n  "http.noProxy": ["localhost","::1"]\r\n}',
  },
  {
    title: 'XML: a value of several lines is read back from a file with other line ends',
    format: XML,
    key: ['settings', 'proxies', 'proxy#id=a'],
    value: '<proxy>\n  <id>a</id>\n</proxy>',
    before: '<settings>\r\n  <x/>\r\n</settings>\r\n',
    after:
      '<settings>\r\n  <proxies>\r\n    <proxy>\r\n      <id>a</id>\r\n    </proxy>\r\n  </proxies>\r\n  <x/>\r\n</settings>\r\n',
  },
  {
    title: 'XML: what stood in several lines comes back with the line ends of the file',
    format: XML,
    key: ['settings', 'proxies', 'proxy#id=a'],
    value: '<proxy>\n  <id>a</id>\n  <port>2</port>\n</proxy>',
    before:
      '<settings>\r\n  <proxies>\r\n    <proxy>\r\n      <id>a</id>\r\n    </proxy>\r\n  </proxies>\r\n</settings>\r\n',
    after:
      '<settings>\r\n  <proxies>\r\n    <proxy>\r\n      <id>a</id>\r\n      <port>2</port>\r\n    </proxy>\r\n  </proxies>\r\n</settings>\r\n',
    was: '<proxy>\n  <id>a</id>\n</proxy>',
    removed: '',
  },
  {
    title: 'git: a section is added at the end of a file without a line end',
    format: GIT_CONFIG,
    key: ['http', 'proxy'],
    value: 'http://p',
    before: '# mine\n[user]\n\tname = Me',
    after: '# mine\n[user]\n\tname = Me\n[http]\n\tproxy = http://p\n',
    removed: '# mine\n[user]\n\tname = Me\n',
  },
  {
    title: 'git: a key joins its section, in capitals or not, with the line ends of the file',
    format: GIT_CONFIG,
    key: ['http', 'proxy'],
    value: 'http://p',
    before: '[HTTP]\r\n\tsslVerify = true ; yes\r\n\r\n[http "https://a/"]\r\n\tproxy = other\r\n',
    after: '[HTTP]\r\n\tsslVerify = true ; yes\r\n\tproxy = http://p\r\n\r\n[http "https://a/"]\r\n\tproxy = other\r\n',
  },
  {
    title: 'git: the last value is the one in force',
    format: GIT_CONFIG,
    key: ['http', 'proxy'],
    value: 'http://p',
    before: '[http]\n\tproxy = one\n\tProxy=two\n',
    after: '[http]\n\tproxy = one\n\tProxy=http://p\n',
    was: 'two',
    removed: '[http]\n\tproxy = one\n',
  },
  {
    title: 'pip: a value that goes on in indented lines is one value',
    format: INI,
    key: ['global', 'proxy'],
    value: 'http://p',
    before: '[global]\nproxy =\n    http://old\ntimeout: 5\n[install]\nproxy = no\n',
    after: '[global]\nproxy =http://p\ntimeout: 5\n[install]\nproxy = no\n',
    was: '\n    http://old',
    removed: '[global]\ntimeout: 5\n[install]\nproxy = no\n',
  },
  {
    title: 'pip: a section with a comment behind its name is that section',
    format: INI,
    key: ['global', 'proxy'],
    value: 'http://p',
    before: '[global] # mine\ntimeout = 5\n',
    after: '[global] # mine\ntimeout = 5\nproxy = http://p\n',
  },
  {
    title: 'KDE: a group inside a group is another group',
    format: KCONFIG,
    key: ['Proxy Settings', 'ProxyType'],
    value: '2',
    before: '[Proxy Settings]\na=1\n[Proxy Settings][Mine]\nProxyType=0\n',
    after: '[Proxy Settings]\na=1\nProxyType=2\n[Proxy Settings][Mine]\nProxyType=0\n',
  },
  {
    title: 'npm: a key is appended, and tokens stay',
    format: NPMRC,
    key: ['proxy'],
    value: 'http://p',
    before: '; mine\n//registry/:_authToken=secret\n',
    after: '; mine\n//registry/:_authToken=secret\nproxy=http://p\n',
  },
  {
    title: 'npm: in an empty file',
    format: NPMRC,
    key: ['proxy'],
    value: 'http://p',
    before: '',
    after: 'proxy=http://p\n',
  },
  {
    title: 'curl: any spelling of a key is found',
    format: CURLRC,
    key: ['proxy'],
    value: '"http://p"',
    before: '# proxy = no\n--proxy "http://old"\n-s\n',
    after: '# proxy = no\n--proxy "http://p"\n-s\n',
    was: '"http://old"',
    removed: '# proxy = no\n-s\n',
  },
  {
    title: 'wget: capitals and dashes make no difference',
    format: WGETRC,
    key: ['http_proxy'],
    value: 'http://p',
    before: 'HTTP-Proxy=old\n',
    after: 'HTTP-Proxy=http://p\n',
    was: 'old',
    removed: '',
  },
  {
    title: 'yarn 1',
    format: YARNRC,
    key: ['proxy'],
    value: '"http://p"',
    before: '# yarn lockfile v1\n\n\nlastUpdateCheck 1\n',
    after: '# yarn lockfile v1\n\n\nlastUpdateCheck 1\nproxy "http://p"\n',
  },
  {
    title: 'Gradle: a value that goes on in the next line is one value',
    format: PROPERTIES,
    key: ['systemProp.http.proxyHost'],
    value: 'h',
    before: '#x\nsystemProp.http.proxyHost: a\\\n  b\nother=1\n',
    after: '#x\nsystemProp.http.proxyHost: h\nother=1\n',
    was: 'a\\\n  b',
    removed: '#x\nother=1\n',
  },
  {
    title: 'KDE: a key with an attribute',
    format: KCONFIG,
    key: ['Proxy Settings', 'Proxy Config Script'],
    value: 'http://p',
    before: '[Proxy Settings]\nProxy Config Script[$e]=file:///a\nProxyType=0\n\n[X]\na=b\n',
    after: '[Proxy Settings]\nProxy Config Script[$e]=http://p\nProxyType=0\n\n[X]\na=b\n',
    was: 'file:///a',
    removed: '[Proxy Settings]\nProxyType=0\n\n[X]\na=b\n',
  },
  {
    title: 'YAML: a key is appended, and comments and quotation marks stay',
    format: YAML,
    key: ['httpProxy'],
    value: '"http://p"',
    before: "# mine\nnodeLinker:   'x' # why\n\nlist: [a,   b]\n",
    after: '# mine\nnodeLinker:   \'x\' # why\n\nlist: [a,   b]\nhttpProxy: "http://p"\n',
  },
  {
    title: 'YAML: a nested key joins its mapping, as deep as its neighbours',
    format: YAML,
    key: ['proxy_servers', 'http'],
    value: '"http://p"',
    before: 'proxy_servers:\n    # all\n    ftp: a\nchannels:\n  - b\n',
    after: 'proxy_servers:\n    # all\n    http: "http://p"\n    ftp: a\nchannels:\n  - b\n',
  },
  {
    title: 'YAML: a mapping is made',
    format: YAML,
    key: ['proxy_servers', 'http'],
    value: '"http://p"',
    before: 'channels:\n- b',
    after: 'channels:\n- b\nproxy_servers:\n  http: "http://p"\n',
    removed: 'channels:\n- b\n',
  },
  {
    title: 'YAML: a value is replaced, its comment stays',
    format: YAML,
    key: ['httpProxy'],
    value: '"http://p"',
    before: 'httpProxy: http://old # office\nb: 1\n',
    after: 'httpProxy: "http://p" # office\nb: 1\n',
    was: 'http://old',
    removed: 'b: 1\n',
  },
  {
    title: 'JSON with comments: a key is added as its neighbours are indented',
    format: JSON_FORMAT,
    key: ['http.proxy'],
    value: '"http://p"',
    before: '{\n    // mine\n    "a": [1,2], /* b */\n    "c": 3\n}\n',
    after: '{\n    // mine\n    "a": [1,2], /* b */\n    "c": 3,\n    "http.proxy": "http://p"\n}\n',
  },
  {
    title: 'JSON: objects are made, and go with their last key',
    format: JSON_FORMAT,
    key: ['proxies', 'default', 'httpProxy'],
    value: '"http://p"',
    before: '',
    after: '{\n\t"proxies": {\n\t\t"default": {\n\t\t\t"httpProxy": "http://p"\n\t\t}\n\t}\n}',
    removed: '',
  },
  {
    title: 'TOML: a key joins its table',
    format: TOML,
    key: ['http', 'proxy'],
    value: '"http://p"',
    before: '[http]\ncheck-revoke = false # why\n\n[net]\nretry = 2\n',
    after: '[http]\ncheck-revoke = false # why\nproxy = "http://p"\n\n[net]\nretry = 2\n',
  },
  {
    title: 'TOML: a key without a table comes before the first one, also before one of an array',
    format: TOML,
    key: ['http-proxy'],
    value: '"http://p"',
    before: '# mine\nnative-tls = true\n\n[[index]]\nurl = "https://a/"\n',
    after: '# mine\nnative-tls = true\nhttp-proxy = "http://p"\n\n[[index]]\nurl = "https://a/"\n',
  },
  {
    title: 'TOML: a table is made',
    format: TOML,
    key: ['http', 'proxy'],
    value: '"http://p"',
    before: 'a = """\n[http]\n"""',
    after: 'a = """\n[http]\n"""\n[http]\nproxy = "http://p"\n',
    removed: 'a = """\n[http]\n"""\n',
  },
  {
    title: 'XML: an element comes first in its parent',
    format: XML,
    key: ['settings', 'proxies', 'proxy#id=v'],
    value: '<proxy>\n  <id>v</id>\n</proxy>',
    before:
      '<?xml version="1.0"?>\n<!-- <proxies> -->\n<settings xmlns="x">\n  <proxies>\n    <proxy><id>o</id></proxy>\n  </proxies>\n</settings>\n',
    after:
      '<?xml version="1.0"?>\n<!-- <proxies> -->\n<settings xmlns="x">\n  <proxies>\n    <proxy>\n      <id>v</id>\n    </proxy>\n    <proxy><id>o</id></proxy>\n  </proxies>\n</settings>\n',
  },
  {
    title: 'XML: its parent is made, also in an element that is empty',
    format: XML,
    key: ['application', 'component@name=C', 'option@name=A'],
    value: '<option name="A" value="1" />',
    before: '<application/>',
    after: '<application>\n  <component name="C">\n    <option name="A" value="1" />\n  </component>\n</application>',
    removed: '',
  },
  {
    title: 'XML: a whole file is made',
    format: XML,
    key: ['settings', 'proxies', 'proxy#id=v'],
    value: '<proxy><id>v</id></proxy>',
    before: '',
    after:
      '<?xml version="1.0" encoding="UTF-8"?>\n<settings>\n  <proxies>\n    <proxy><id>v</id></proxy>\n  </proxies>\n</settings>\n',
  },
  {
    title: 'a block stands at the end between its marks',
    format: BLOCK,
    key: [],
    value: 'a\nb',
    before: 'x\n# >>> viaduct setup >>>\nnot closed',
    after: 'x\n# >>> viaduct setup >>>\nnot closed\n# >>> viaduct setup >>>\na\nb\n# <<< viaduct setup <<<\n',
    removed: 'x\n# >>> viaduct setup >>>\nnot closed\n',
  },
];

describe('a value is written, read, replaced and removed, and nothing else changes', () => {
  for (const { title, format, key, value, before, after, was, removed } of cases)
    test(title, () => {
      assert.equal(format.read(before, key), was);
      assert.equal(format.write(before, key, value), after);
      assert.equal(format.read(after, key), value);
      assert.equal(format.write(after, key, format.read(after, key) ?? ''), after);
      assert.equal(format.remove(after, key), removed ?? before);
      if (was !== undefined) assert.equal(format.write(after, key, was), before);
    });
});

describe('line ends are those of the file', () => {
  const crlf = (text: string): string => text.replace(/\r?\n/g, '\r\n');
  for (const { title, format, key, value, before, after, removed } of cases)
    if (before.includes('\n'))
      test(title, () => {
        const written = crlf(after);
        assert.equal(format.write(crlf(before), key, value), written);
        assert.equal(format.read(written, key), value);
        assert.equal(format.write(written, key, value), written);
        assert.equal(format.remove(written, key), crlf(removed ?? before));
      });
});

describe('a file that setup cannot edit is refused, with what is wrong and where', () => {
  const refused: readonly (readonly [Format, Key, string, string])[] = [
    [JSON_FORMAT, ['a'], '{\n "a": }', 'it is not valid JSON (line 2: ValueExpected)'],
    [JSON_FORMAT, ['a'], '[]', 'it is not a JSON object'],
    [YAML, ['a'], 'a: [\n', 'it is not valid YAML (line 2)'],
    [YAML, ['a'], '- b\n', 'it is not a mapping of YAML'],
    [YAML, ['a', 'b'], 'a: {c: 1}\n', 'what it says about the proxy is written in a form that setup does not edit'],
    [TOML, ['http', 'proxy'], 'a = \n', 'it is not valid TOML (line 1)'],
    [
      TOML,
      ['http', 'proxy'],
      'http.proxy = "a"\n',
      'what it says about the proxy is written in a form that setup does not edit',
    ],
    [
      TOML,
      ['http', 'proxy'],
      'http = { timeout = 1 }\n',
      'what it says about the proxy is written in a form that setup does not edit',
    ],
    [
      GIT_CONFIG,
      ['http', 'proxy'],
      '[user]\n[http\n',
      'it is not valid (line 2: a section without its closing bracket)',
    ],
    [INI, ['global', 'proxy'], '[global\n', 'it is not valid (line 1: a section without its closing bracket)'],
    [XML, ['settings', 'a'], '<settings>\n<a></settings>', 'it is not valid XML (line 2)'],
    [XML, ['settings', 'a'], '<other></other>', 'it is not a file of settings'],
  ];
  for (const [format, key, text, message] of refused)
    test(`${format.name}: ${JSON.stringify(text)}`, () => {
      assert.throws(() => format.write(text, key, '"x"'), new FormatError(message));
    });
});

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { formatRoute } from '../protocol/routes/route-text.ts';
import type { Environment } from './environment.ts';
import { parseConfigFile, problemInFile } from './file.ts';
import type { FlagValue } from './flags.ts';
import { FLAGS } from './flags.ts';
import { ConfigError } from './problems.ts';
import { settingsInForce } from './provenance.ts';
import { checkInput, resolveOptions } from './schema.ts';
import { type LoadedConfig, load } from './sources.ts';

const folder = mkdtempSync(join(tmpdir(), 'viaduct-'));
after(() => rmSync(folder, { recursive: true }));

let files = 0;
function fileOf(text: string): string {
  const path = join(folder, `${++files}.yaml`);
  writeFileSync(path, text);
  return path;
}

function flag(name: string, text = ''): FlagValue {
  const found = FLAGS.find((one) => one.name === name);
  assert.ok(found, name);
  return { flag: found, text, label: `--${name}` };
}

const loaded = (flags: readonly FlagValue[], environment: Environment = {}): LoadedConfig =>
  load({ flags, environment: { HOME: folder, ...environment }, isTerminal: false });
const routesOf = (flags: readonly FlagValue[], environment?: Environment) => loaded(flags, environment).config.routes;

function refusal(flags: readonly FlagValue[], environment: Environment = {}): readonly string[] {
  try {
    loaded(flags, environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.lines;
    throw error;
  }
  return [];
}

/** `setting value # origin`, as `viaduct check` prints it. */
function shown({ values, provenance }: LoadedConfig): string[] {
  const all = settingsInForce(values, {}, provenance).filter(({ path }) => path.startsWith('routes.'));
  return all.map(({ path, value, origin }) => `${path} ${value} # ${origin}`);
}

test('the setting of the system decides, unless routes are configured; a program asks for it', () => {
  assert.deepEqual([routesOf([]).pac, routesOf([]).pacUnreachable], ['system', 'direct']);
  assert.equal(routesOf([flag('proxy', 'http://a.example:1')]).pac, 'none');
  const rules = fileOf('routes: { rules: [{ hosts: [.corp], via: direct }] }');
  assert.equal(routesOf([flag('config', rules)]).pac, 'none');
  assert.equal(routesOf([flag('noproxy', 'a')]).pac, 'system');
  assert.equal(resolveOptions().routes.pac, 'none');
  assert.equal(resolveOptions({ routes: { noProxy: 'a' } }).routes.pac, 'none');
  assert.equal(resolveOptions({ routes: { pac: 'auto' } }).routes.pac, 'auto');
});

test('only a PAC that was not named for this network may be gone without a trace', () => {
  const unreachable = (pac: string) => routesOf([flag('pac', pac)]).pacUnreachable;
  assert.deepEqual(['auto', 'system', 'http://pac.example/', 'none'].map(unreachable), [
    'direct',
    'direct',
    'last-copy',
    'last-copy',
  ]);
  const file = fileOf('routes: { pac: "http://pac.example/", pacUnreachable: direct }');
  assert.equal(routesOf([flag('config', file)]).pacUnreachable, 'direct');
});

test('requests go direct past what cannot be reached when the user says so, and an exposed listener says nothing by itself', () => {
  const both = (...given: FlagValue[]) => {
    const { unreachable, pacUnreachable } = routesOf(given);
    return [unreachable, pacUnreachable];
  };
  const fallback = flag('direct-fallback', '');
  const [auto, url, exposed] = [flag('pac', 'auto'), flag('pac', 'http://pac.example/'), flag('listen', '0.0.0.0')];
  const allow = flag('allow', '10.0.0.0/8');
  assert.deepEqual(both(auto), ['refuse', 'direct']);
  assert.deepEqual(both(auto, exposed, allow), ['refuse', 'last-copy']);
  assert.deepEqual(both(url, fallback), ['direct', 'direct']);
  assert.deepEqual(both(url, fallback, exposed, allow), ['direct', 'direct']);
  assert.deepEqual(both(auto, flag('direct-fallback', 'no')), ['refuse', 'last-copy']);
  const older = fileOf('routes: { pac: auto, unreachable: direct, pacUnreachable: last-copy }');
  assert.deepEqual(both(flag('config', older)), ['direct', 'last-copy']);
  const exposedFile = fileOf('listen: 0.0.0.0\nopen: true\nroutes: { pac: auto, pacUnreachable: direct }');
  assert.deepEqual(both(flag('config', exposedFile)), ['refuse', 'direct']);
});

test('a repeated --proxy is the order of trying, and a file may nest chains', () => {
  const twice = routesOf([flag('proxy', 'http://a.example:1'), flag('proxy', 'direct')]);
  assert.deepEqual(twice.proxy.map(formatRoute), ['http://a.example:1', 'direct']);
  const file = fileOf(`routes:
  rules:
    - { hosts: [.corp.example], via: "PROXY proxy.corp:8080; DIRECT" }
    - { name: far, ports: [22, "8000-8999"], via: [[https://a.example, socks5://b.example], direct] }
  proxy: http://c.example:1
`);
  const { rules, proxy } = routesOf([flag('config', file)]);
  assert.deepEqual(
    rules.map(({ name, via }) => [name, via.map(formatRoute)]),
    [
      ['rule 1', ['http://proxy.corp:8080', 'direct']],
      ['far', ['https://a.example:443 -> socks5://b.example:1080', 'direct']],
    ],
  );
  assert.deepEqual(proxy.map(formatRoute), ['http://c.example:1']);
});

test('a proxy on the command line wins over the PAC of the file; a PAC beside it stays the first choice', () => {
  const file = fileOf('routes: { pac: "http://pac.example/" }');
  const proxy = flag('proxy', 'http://a.example:1');
  const over = loaded([flag('config', file), proxy]);
  assert.equal(over.config.routes.pac, 'none');
  assert.ok(shown(over).includes('routes.pac "none" # --proxy'), shown(over).join());
  assert.equal(routesOf([flag('config', file), proxy, flag('pac', 'auto')]).pac, 'auto');
  assert.equal(routesOf([proxy], { VIADUCT_PAC: 'http://pac.example/' }).pac, 'none');
  const both = fileOf('routes: { pac: "http://pac.example/", proxy: "http://a.example:1" }');
  assert.equal(routesOf([flag('config', both)]).pac, 'http://pac.example/');
});

test('every flag of routes is a variable too', () => {
  const routes = routesOf([], {
    VIADUCT_PROXY: 'http://a.example:1; direct',
    VIADUCT_NOPROXY: 'x.example, 10.0.0.0/8',
    VIADUCT_ENABLE_SOCKS: '1',
  });
  assert.deepEqual(routes.proxy.map(formatRoute), ['http://a.example:1', 'direct']);
  assert.deepEqual(routes.noProxy, ['x.example', '10.0.0.0/8']);
  assert.equal(routesOf([], { VIADUCT_PAC: 'auto' }).pac, 'auto');
});

test('NO_PROXY joins what a file says, and a flag says it all', () => {
  const file = fileOf('routes:\n  noProxy: [.internal]\n');
  const joined = loaded([flag('config', file)], { NO_PROXY: 'a.example, 10.0.0.0/8' });
  assert.deepEqual(joined.config.routes.noProxy, ['.internal', 'a.example', '10.0.0.0/8']);
  assert.ok(
    shown(joined).includes(`routes.noProxy [".internal", "a.example", "10.0.0.0/8"] # ${file}:2 and NO_PROXY`),
    shown(joined).join(),
  );
  assert.deepEqual(routesOf([flag('noproxy', 'b')], { NO_PROXY: 'a' }).noProxy, ['b']);
  assert.deepEqual(routesOf([flag('noproxy', '')], { NO_PROXY: 'a' }).noProxy, []);
  assert.deepEqual(routesOf([], { NO_PROXY: 'a', VIADUCT_NOPROXY: 'b' }).noProxy, ['b']);
  assert.deepEqual(routesOf([], { NO_PROXY: 'a', no_proxy: 'b' }).noProxy, ['b'], 'as curl: small letters first');
  assert.deepEqual(routesOf([], { NO_PROXY: ' ', no_proxy: '' }).noProxy, []);
});

test('an entry of NO_PROXY for other programs is left out with a notice', () => {
  const { config, notices } = loaded([], { NO_PROXY: 'a.example,http://me:hunter2@b.example,192.168' });
  assert.deepEqual(config.routes.noProxy, ['a.example']);
  assert.deepEqual(notices, [
    'NO_PROXY: "http://•••@b.example" is not a valid host; it is left out',
    'NO_PROXY: "192.168" is not a valid host; it is left out',
  ]);
});

test('no password of a proxy is shown, wherever it stands', () => {
  const file = fileOf(`routes:
  rules:
    - { hosts: [a], via: "PROXY x:1; http://me:hunter2@proxy.corp:1" }
    - { hosts: [b], via: [["https://a.corp", "socks5://me:hunter2/3@b.corp"], "me:hunter2@c.corp"] }
  pac: "https://me:hunter2@pac.corp/x"
`);
  const all = loaded([flag('config', file), flag('proxy', 'http://CORP%5Cme:hunter2@d.corp:1')]);
  const text = shown(all).join('\n');
  assert.doesNotMatch(text, /hunter2/);
  assert.match(text, /routes\.proxy \["http:\/\/CORP%5Cme:•••@d\.corp:1"\] # --proxy/);
  assert.doesNotMatch(JSON.stringify(all.config.routes.proxy), /hunter2/);
});

/** The messages about a file. */
function messagesFor(text: string): readonly string[] {
  const file = parseConfigFile(text, 'viaduct.yaml');
  return checkInput(file.values).problems.map(({ path, message }) => problemInFile(file, path, message));
}

const MISTAKES: readonly (readonly [what: string, text: string, line: RegExp])[] = [
  [
    'a scheme that is not a proxy',
    'routes:\n  proxy:\n    - http://a.example:1\n    - ftp://b.example\n',
    /^viaduct\.yaml:4: routes\.proxy\[1\]: "ftp:\/\/b\.example" is not a supported kind of proxy; write for example/,
  ],
  [
    'a proxy with a path',
    'routes:\n  proxy: http://a.example:1/x\n',
    /^viaduct\.yaml:2: routes\.proxy: "http:\/\/a\.example:1\/x" has a path/,
  ],
  [
    'a way that is none in a rule',
    'routes:\n  rules:\n    - { hosts: [a], via: "PROXI a:1" }\n',
    /^viaduct\.yaml:3: routes\.rules\[0\]\.via: "PROXI a:1" is not a valid route; write for example PROXY/,
  ],
  [
    'a rule without a way',
    'routes:\n  rules:\n    - { hosts: [a] }\n',
    /^viaduct\.yaml:3: routes\.rules\[0\]\.via: is missing; /,
  ],
  [
    'a rule without a condition',
    'routes:\n  rules:\n    - { via: direct }\n',
    /^viaduct\.yaml:3: routes\.rules\[0\]: has no condition; write hosts or ports$/,
  ],
  [
    'no proxies',
    'routes:\n  proxy: []\n',
    /^viaduct\.yaml:2: routes\.proxy: names no route; write direct, or a proxy such as/,
  ],
  [
    'an exception that is none',
    'routes:\n  noProxy:\n    - a\n    - http://b\n',
    /^viaduct\.yaml:4: routes\.noProxy\[1\]: "http:\/\/b" is not a valid host; write a name/,
  ],
  [
    'a PAC of another scheme',
    'routes:\n  pac: htp://a\n',
    /^viaduct\.yaml:2: routes\.pac: is not a PAC: htp: is not read; did you mean http\?/,
  ],
  [
    'a PAC whose URL is none',
    'routes:\n  pac: "http://"\n',
    /^viaduct\.yaml:2: routes\.pac: is not a valid URL; write for example http:\/\/pac\.example\/proxy\.pac$/,
  ],
  [
    'a word for an unreachable PAC',
    'routes:\n  pacUnreachable: last\n',
    /^viaduct\.yaml:2: routes\.pacUnreachable: is "last"; write direct or last-copy$/,
  ],
];
for (const [what, text, line] of MISTAKES) {
  test(`a file is refused with line and key: ${what}`, () => {
    const [first = '', ...more] = messagesFor(text);
    assert.match(first, line);
    assert.deepEqual(more, []);
  });
}

test('flags and variables are named in their own errors', () => {
  assert.match(
    refusal([flag('proxy', 'ftp://me:hunter2@a')])[0] ?? '',
    /^--proxy: "ftp:\/\/•••@a" is not a supported kind of proxy/,
  );
  assert.match(refusal([], { VIADUCT_PAC: 'ftp://a' })[0] ?? '', /^VIADUCT_PAC: is not a PAC/);
  assert.match(refusal([flag('noproxy', 'a,http://b')])[0] ?? '', /^--noproxy: "http:\/\/b" is not a valid host/);
});

test('a PAC on disk that is not there is refused with file and key; its path is relative to the file', () => {
  const file = fileOf('routes:\n  pac: nowhere.pac\n');
  assert.deepEqual(refusal([flag('config', file)]), [
    `${file}:2: routes.pac: there is no file ${join(folder, 'nowhere.pac')}`,
  ]);
  writeFileSync(join(folder, 'here.pac'), '');
  assert.equal(routesOf([flag('config', fileOf('routes: { pac: here.pac }'))]).pac, join(folder, 'here.pac'));
  assert.deepEqual(refusal([flag('pac', 'file:///no/such.pac')]), ['--pac: there is no file /no/such.pac']);
  assert.deepEqual(refusal([flag('pac', 'sytem')]), ['--pac: there is no file sytem; did you mean system?']);
  assert.equal(routesOf([flag('config', fileOf('routes: { pac: auto }'))]).pac, 'auto', 'a word is not a path');
});

test('a proxy that is this proxy itself is refused, and both are named', () => {
  const lines = (proxy: string, listen = 'localhost:3128') => refusal([flag('listen', listen), flag('proxy', proxy)]);
  assert.deepEqual(lines('http://localhost:3128'), [
    '--proxy: http://localhost:3128 is this proxy itself, which listens on 127.0.0.1:3128; name another',
  ]);
  assert.match(lines('http://[0:0::1]:3128')[0] ?? '', /which listens on \[::1\]:3128/);
  const everywhere = refusal([flag('listen', '0.0.0.0:3128'), flag('open'), flag('proxy', '127.0.0.2:3128')]);
  assert.match(
    everywhere[0] ?? '',
    /^--proxy: http:\/\/127\.0\.0\.2:3128 is this proxy itself, which listens on 0\.0\.0\.0:3128/,
  );
  assert.deepEqual(lines('http://localhost:3129'), []);
  assert.deepEqual(lines('http://proxy.corp:3128'), []);
  const file = fileOf('routes:\n  rules:\n    - { hosts: [a], via: "http://127.0.0.1:3128" }\n');
  assert.match(
    refusal([flag('config', file)])[0] ?? '',
    /:3: routes\.rules\[0\]\.via: http:\/\/127\.0\.0\.1:3128 is this proxy/,
  );
  const chain = fileOf('routes: { proxy: [[http://far.example:1, http://localhost:3128]] }');
  assert.deepEqual(refusal([flag('config', chain)]), [], 'behind another proxy, localhost is that of the other');
});

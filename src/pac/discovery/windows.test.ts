import assert from 'node:assert/strict';
import { test } from 'node:test';
import { playedSystem } from '../../../test/support/system-world.ts';
import { parseRegistry, settingOf, windowsSetting } from './windows.ts';

const NONE: ReadonlyMap<string, string> = new Map();
const EMPTY = { policies: NONE, user: NONE, userConnections: NONE, machine: NONE, machineConnections: NONE };
const user = (values: Record<string, string>) => {
  const given = new Map(Object.entries(values));
  return settingOf({ ...EMPTY, user: given });
};
/** As Windows writes it: version, counter, flags, and each text behind its length. */
const connection = (flags: number, ...texts: string[]): string => {
  const head = Buffer.alloc(12);
  head.writeUInt32LE(0x46);
  head.writeUInt32LE(flags, 8);
  const parts = texts.flatMap((text) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(text.length);
    return [length, Buffer.from(text)];
  });
  return Buffer.concat([head, ...parts, Buffer.alloc(32)])
    .toString('hex')
    .toUpperCase();
};

test('reads what reg query prints', () => {
  const output = [
    '',
    'HKEY_CURRENT_USER\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings',
    '    User Agent    REG_SZ    Mozilla/4.0 (compatible)',
    '    ProxyEnable    REG_DWORD    0x1',
    '    ProxyServer    REG_SZ    proxy.corp.example:8080',
    '    ProxyOverride    REG_SZ    *.corp.example;10.*;<local>',
    '    Empty    REG_SZ',
    '',
    'HKEY_CURRENT_USER\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\\Connections',
    '',
  ].join('\r\n');
  const values = parseRegistry(output);
  assert.equal(values.get('user agent'), 'Mozilla/4.0 (compatible)');
  assert.equal(values.get('empty'), '');
  assert.deepEqual(settingOf({ ...EMPTY, user: values }), {
    kind: 'proxies',
    proxies: {
      source: 'Windows',
      http: 'http://proxy.corp.example:8080',
      https: 'http://proxy.corp.example:8080',
      noProxy: ['.corp.example', '10.0.0.0/8', '<local>'],
    },
    wpad: 'unmentioned',
  });
});

test('reads a list by scheme; socks means SOCKS4', () => {
  const servers = (proxyserver: string) => {
    const setting = user({ proxyenable: '0x1', proxyserver });
    return setting.kind === 'proxies' ? [setting.proxies.http, setting.proxies.https] : setting.kind;
  };
  assert.deepEqual(servers('http=a:1;https=b:2;ftp=c:3'), ['http://a:1', 'http://b:2']);
  assert.deepEqual(servers('https=b:2'), [undefined, 'http://b:2']);
  assert.deepEqual(servers('http=a:1;socks=s:1080'), ['http://a:1', 'socks4://s:1080']);
  assert.deepEqual(servers('http://a:1'), ['http://a:1', 'http://a:1']);
  assert.deepEqual(servers('ftp=c:3'), 'none');
});

test('a PAC takes precedence over proxies, and disabled settings are ignored', () => {
  const url = 'http://pac.corp.example/p';
  assert.deepEqual(user({ autoconfigurl: url, proxyenable: '0x1', proxyserver: 'a:1' }), {
    kind: 'pac',
    url,
    source: 'Windows',
    wpad: 'unmentioned',
  });
  assert.equal(user({ proxyenable: '0x0', proxyserver: 'a:1' }).kind, 'none');
  assert.equal(user({}).kind, 'none');
});

test('reads the bit for automatic detection', () => {
  const connections = (hex: string) =>
    settingOf({ ...EMPTY, userConnections: new Map([['defaultconnectionsettings', hex]]) });
  assert.equal(connections('46000000AB0000000900000000').wpad, 'wanted');
  assert.equal(connections('46000000AB0000000100000000').wpad, 'unmentioned');
  assert.equal(connections('').wpad, 'unmentioned');
});

test('what netsh winhttp has set is used where the user has set nothing', () => {
  const services = (hex: string, own: Record<string, string> = {}) =>
    settingOf({
      ...EMPTY,
      user: new Map(Object.entries(own)),
      machineConnections: new Map([['winhttpsettings', hex]]),
    });
  const proxies = { source: 'WinHTTP', http: 'http://p:8080', https: 'http://p:8080', noProxy: ['.corp', '<local>'] };
  assert.deepEqual(services(connection(3, 'p:8080', '*.corp;<local>')), {
    kind: 'proxies',
    proxies,
    wpad: 'unmentioned',
  });
  const own = services(connection(3, 'p:8080', ''), { proxyenable: '0x1', proxyserver: 'own:1' });
  assert.equal(own.kind === 'proxies' && own.proxies.http, 'http://own:1');
  const url = 'http://pac.corp.example/p';
  assert.deepEqual(services(connection(5, '', '', url)), { kind: 'pac', url, source: 'WinHTTP', wpad: 'unmentioned' });
  // Direct (1), although a proxy is still there; and bytes that end before the text does.
  assert.equal(services(connection(1, 'p:8080', '')).kind, 'none');
  assert.equal(services(connection(3, 'p:8080', '').slice(0, 36)).kind, 'none');
});

test('the machine may be set by its connection alone', () => {
  const perMachine = new Map([['proxysettingsperuser', '0x0']]);
  const machineConnections = new Map([['defaultconnectionsettings', connection(3, 'machine:8080', '')]]);
  const setting = settingOf({ ...EMPTY, policies: perMachine, machineConnections });
  assert.equal(setting.kind === 'proxies' && setting.proxies.http, 'http://machine:8080');
  assert.equal(settingOf({ ...EMPTY, machineConnections }).kind, 'none');
});

test('a policy may name the PAC, or make the settings of the machine apply', () => {
  const url = 'https://pac.corp.example/p';
  const own = new Map([['autoconfigurl', 'http://own.example/']]);
  const managed = new Map([['autoconfigurl', url]]);
  const at = { source: 'Windows', wpad: 'unmentioned' };
  assert.deepEqual(settingOf({ ...EMPTY, policies: managed, user: own }), {
    kind: 'pac',
    url,
    ...at,
  });
  const perMachine = new Map([['proxysettingsperuser', '0x0']]);
  assert.deepEqual(settingOf({ ...EMPTY, policies: perMachine, user: own, machine: managed }), {
    kind: 'pac',
    url,
    ...at,
  });
});

test('reads the keys with the reg.exe of the system', async () => {
  const settings = 'Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings';
  const reg = 'C:\\Windows\\System32\\reg.exe query';
  const world = playedSystem({
    platform: 'win32',
    environment: { SystemRoot: 'C:\\Windows' },
    commands: { [`${reg} HKCU\\${settings}`]: 'HKEY\r\n    AutoConfigURL    REG_SZ    http://pac.example/p\r\n' },
  });
  assert.equal((await windowsSetting(world)).kind, 'pac');
  assert.deepEqual(world.ran, [
    `${reg} HKLM\\Software\\Policies\\Microsoft\\Windows\\CurrentVersion\\Internet Settings`,
    `${reg} HKCU\\${settings}`,
    `${reg} HKCU\\${settings}\\Connections`,
    `${reg} HKLM\\${settings}`,
    `${reg} HKLM\\${settings}\\Connections`,
  ]);
});

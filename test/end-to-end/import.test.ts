import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parse } from 'yaml';
import { viaductEnds } from '../support/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'viaduct-import-'));
after(() => rmSync(folder, { recursive: true }));

interface Imported {
  readonly settings: unknown;
  /** Lines on standard error, without the name of the file. */
  readonly messages: readonly string[];
}

/** Imports a file, and lets `viaduct check` judge what comes out. */
async function imported(name: string, text: string | Buffer): Promise<Imported> {
  const path = join(folder, name);
  writeFileSync(path, text);
  const { code, out, err } = await viaductEnds(['import', path]);
  assert.equal(code, 0, err);
  assert.doesNotMatch(out + err, /hunter2|77B9081511704EE852F94227CF48A793|D5826E9C665C37C80B53397D5C07BBCB/i);
  const result = join(folder, 'viaduct.yaml');
  writeFileSync(result, out);
  const checked = await viaductEnds(['check', result]);
  assert.equal(checked.code, 0, checked.err);
  return {
    settings: parse(out),
    messages: err
      .trimEnd()
      .split('\n')
      .map((line) => line.replaceAll(path, 'FILE')),
  };
}

test('cntlm.conf: proxies, exceptions, listeners and the account; hashes and the rest are reported', async () => {
  const { settings, messages } = await imported(
    'cntlm.conf',
    `# comment
Username\ttestuser
Domain\t\tcorp-uk
Password "hunter2 # and more"
PassLM          1AD35398BE6565DDB5C4EF70C0593492
PassNT          77B9081511704EE852F94227CF48A793
PassNTLMv2      D5826E9C665C37C80B53397D5C07BBCB   # Only for user 'testuser'
Workstation\tpc7
Proxy\t\t10.0.0.41:8080
Proxy\t\t10.0.0.42:8080
NoProxy\t\tlocalhost, 127.0.0.*, 10.*, 192.168.*, *.intern, we?rd
Listen\t\t3128
Listen 192.168.0.1:8081
Gateway\tyes
Allow\t\t10.0.0.0/8
Deny\t\t0/0
Auth NTLM2SR
Tunnel\t\t11443:remote.com:443
SOCKS5User\tdave:hunter2
Nonsense 1
`,
  );
  assert.deepEqual(settings, {
    listen: ['0.0.0.0:3128', '192.168.0.1:8081'],
    clients: { allow: ['10.0.0.0/8'] },
    routes: {
      noProxy: ['localhost', '127.0.0.0/24', '10.0.0.0/8', '192.168.0.0/16', '*.intern'],
      proxy: ['10.0.0.41:8080', '10.0.0.42:8080'],
    },
    credentials: { default: { user: 'testuser', domain: 'CORP-UK' } },
  });
  assert.deepEqual(messages, [
    'FILE:4: Password: a password is never copied',
    'FILE:5: PassLM: LM is not supported: it reveals the password',
    'FILE:6: PassNT: a hash is as good as the password, and is never copied',
    'FILE:7: PassNTLMv2: a hash is as good as the password, and is never copied',
    'FILE:8: Workstation: the name of this machine is not sent',
    'FILE:11: NoProxy: "we?rd" is not a valid host, address or block',
    'FILE:17: Auth: only NTLMv2 is supported: older responses reveal the password',
    'FILE:18: Tunnel: there are no fixed tunnels; programs ask with CONNECT',
    'FILE:19: SOCKS5User: there is no SOCKS listener',
    'FILE:20: Nonsense: is not a known setting of cntlm',
    "viaduct: the hash: grep -iE '^[[:space:]]*PassNT[[:space:]]' FILE | viaduct login -c viaduct.yaml    (into the keyring)",
    `viaduct: or without a keyring: (umask 077; grep -iE '^[[:space:]]*PassNT[[:space:]]' FILE > upstream.secret), then write from: "file:upstream.secret" into credentials.default, with that file beside the configuration`,
  ]);
});

test('a gateway for everyone stays at home', async () => {
  const { settings, messages } = await imported('gateway.cntlm.conf', 'Proxy p:8080\nListen 3128\nGateway yes\n');
  assert.deepEqual(settings, { routes: { proxy: ['p:8080'] } });
  assert.match(messages[0] ?? '', /^FILE:3: Gateway: everyone who reaches 0\.0\.0\.0:3128 could use this proxy/);
});

test('a listener of cntlm that others can reach keeps its port, and is reported', async () => {
  for (const [lines, listen, shown] of [
    ['Listen 0.0.0.0:3128\n', undefined, '0.0.0.0:3128'],
    ['Listen 0.0.0.0:8081\n', ['localhost:8081'], '0.0.0.0:8081'],
    ['Listen 3130\nListen 192.168.0.1:8081\n', ['127.0.0.1:3130', 'localhost:8081'], '192.168.0.1:8081'],
    ['Listen [::]:8081\nGateway no\n', ['localhost:8081'], '[::]:8081'],
    ['Listen 3130\nGateway yes\n', ['localhost:3130'], '0.0.0.0:3130'],
  ] as const) {
    const { settings, messages } = await imported('cntlm.conf', `Proxy p:8080\n${lines}`);
    assert.deepEqual(settings, { ...(listen && { listen }), routes: { proxy: ['p:8080'] } }, lines);
    assert.ok(
      messages.some((line) => line.includes(`everyone who reaches ${shown} could use this proxy`)),
      messages.join(),
    );
  }
  const allowed = await imported('cntlm.conf', 'Listen 0.0.0.0:3128\nAllow 10.0.0.0/8\n');
  assert.deepEqual(allowed.settings, { listen: ['0.0.0.0:3128'], clients: { allow: ['10.0.0.0/8'] } });
});

test('what editors of Windows write is read, and a guess is reported', async () => {
  const ini = '[proxy]\r\nserver = proxy.example:8080\r\nusername = CORP\\müller\r\n';
  const settings = {
    routes: { proxy: ['proxy.example:8080'] },
    credentials: { default: { user: 'müller', domain: 'CORP' } },
  };
  for (const bytes of [
    Buffer.from(`\ufeff${ini}`, 'utf16le'),
    Buffer.from(`\ufeff${ini}`, 'utf16le').swap16(),
    Buffer.from(ini, 'utf16le'),
    Buffer.from(`\ufeff${ini}`, 'utf8'),
    Buffer.from(ini, 'latin1'),
  ]) {
    const read = await imported('px.ini', bytes);
    assert.deepEqual(read.settings, settings);
    const isGuess = bytes.equals(Buffer.from(ini, 'latin1'));
    assert.equal(
      read.messages.includes('viaduct: FILE: is not UTF-8; letters beyond ASCII were read as Windows-1252'),
      isGuess,
    );
  }
  const cntlm = await imported('cntlm.conf', Buffer.from('\ufeffProxy p:8080\r\nDomain corp\r\n', 'utf16le'));
  assert.deepEqual(cntlm.settings, { routes: { proxy: ['p:8080'] }, credentials: { default: { domain: 'CORP' } } });
});

test('px.ini: servers, exceptions, the account and its entry in the keyring', async () => {
  const { settings, messages } = await imported(
    'px.ini',
    `[proxy]
; comment
server = proxy1.example:8080, http://me:hunter2@proxy2.example:80
pac =
listen = 127.0.0.1
port = 3130
gateway = 0
allow = *.*.*.*
noproxy = 127.0.0.1,192.168.0.*,10.0.0.1-10.0.0.6,.intern
useragent = Mozilla
username = CORP\\me
auth = ANY

[settings]
workers = 2
threads = 5
idle = 30
socktimeout = 20.0
log = 1
`,
  );
  assert.deepEqual(settings, {
    listen: ['127.0.0.1'],
    port: 3130,
    routes: {
      noProxy: ['127.0.0.1', '192.168.0.0/24', '10.0.0.1/32', '10.0.0.2/31', '10.0.0.4/31', '10.0.0.6/32', '.intern'],
      proxy: ['proxy1.example:8080', 'http://proxy2.example:80'],
    },
    credentials: { default: { user: 'me', domain: 'CORP' } },
    timeouts: { connect: '20s' },
  });
  assert.deepEqual(messages, [
    'FILE:3: server: the login in the URL is never copied',
    'FILE:10: useragent: fields of requests are not rewritten',
    'FILE:15: workers: one process is mostly enough; --workers N starts more',
    'FILE:19: log: use --log or --log-file',
    'viaduct: the password: an entry "Px" of the keyring is used as it is; else viaduct login -c viaduct.yaml stores it',
  ]);
});

test("px's choice of schemes is one for every proxy", async () => {
  for (const [auth, schemes] of [
    ['NTLM', ['ntlm']],
    ['ONLYKERBEROS', ['negotiate']],
    ['NONEGOTIATE', ['ntlm', 'digest', 'basic']],
    ['SAFENONTLM', ['negotiate', 'digest']],
    ['ANYSAFE', ['negotiate', 'ntlm', 'digest']],
  ] as const) {
    const { settings } = await imported('px.ini', `[proxy]\nauth = ${auth}\n`);
    assert.deepEqual(settings, { upstreams: [{ host: '*', auth: schemes }] });
  }
  const { settings, messages } = await imported('px.ini', '[proxy]\nauth = NONE\n');
  assert.deepEqual([settings, messages], [{}, ['FILE:2: auth: "NONE" is not a known value']]);
});

test('a profile with the variables of alpaca, and the line that starts it', async () => {
  const { settings, messages } = await imported(
    'profile',
    `# NTLM_CREDENTIALS="comment@X:0"
export PATH=$PATH:/opt
NTLM_CREDENTIALS="me@CORP:77B9081511704EE852F94227CF48A793"; export NTLM_CREDENTIALS
export BASIC_CREDENTIALS='me:hunter2 and more'
export ALPACA_PROXY_AUTH_ALLOWLIST=.corp.example,vendor.example
/usr/local/bin/alpaca -l localhost -p 3128 -C "http://pac.example/it's.pac" -no-kerberos -q &
`,
  );
  assert.deepEqual(settings, {
    listen: ['localhost'],
    port: 3128,
    routes: { pac: "http://pac.example/it's.pac" },
    credentials: {
      default: { user: 'me', domain: 'CORP' },
      allow: ['.corp.example', '.vendor.example'],
      kerberos: false,
    },
  });
  assert.deepEqual(messages, [
    'FILE:3: NTLM_CREDENTIALS: stays where it is: viaduct reads it as alpaca does',
    'FILE:4: BASIC_CREDENTIALS: stays where it is: viaduct reads it as alpaca does',
    'FILE:5: ALPACA_PROXY_AUTH_ALLOWLIST: its proxies stand in credentials.allow; keep the variable where all other proxies must get nothing',
    'FILE:6: -q: use viaduct -q',
  ]);
});

test('an empty file of px prints nothing, and is a configuration', async () => {
  const { settings, messages } = await imported('empty.ini', '[proxy]\nserver =\n');
  assert.deepEqual([settings, messages], [{}, ['']]);
});

test('a file that is none of these is refused, and so is one that is not there', async () => {
  const path = join(folder, 'letter.txt');
  writeFileSync(path, 'Dear Sir,\n');
  const letter = await viaductEnds(['import', path]);
  assert.deepEqual(
    [letter.code, letter.out, letter.err],
    [2, '', `viaduct: ${path}: is neither a px.ini nor a cntlm.conf, and has no variables or flags of alpaca\n`],
  );
  const absent = await viaductEnds(['import', '/nonexistent/px.ini']);
  assert.deepEqual([absent.code, absent.out], [2, '']);
});

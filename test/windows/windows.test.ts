/** The program on Windows, as far as Wine is one. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { LabOrigin } from '../lab/through-upstream.ts';
import { until } from '../support/until.ts';
import { ask, noWine, PROGRAM_PACKAGES, portOf, QUIET, Wine, windowsPath } from './wine.ts';

const skip = noWine();
const stack = new AsyncDisposableStack();
let starting: Promise<Wine> | undefined;
const windows = (): Promise<Wine> => {
  starting ??= Wine.start().then((wine) => stack.use(wine));
  return starting;
};
after(() => stack.disposeAsync());

let startingOrigin: Promise<LabOrigin> | undefined;
const originOfLab = (): Promise<LabOrigin> => {
  startingOrigin ??= LabOrigin.listen().then((origin) => stack.use(origin));
  return startingOrigin;
};

test('it serves, keeps its files where Windows has them, and reads a configuration of a Windows editor', {
  skip,
  timeout: 180_000,
}, async () => {
  const [wine, origin] = await Promise.all([windows(), originOfLab()]);
  const home = join(wine.folder, 'prefix/drive_c/users');
  const program = wine.viaduct(['--port', '0', '--admin', 'localhost:0']);
  const port = await portOf(program);
  await program.says(/^dashboard on /m);
  assert.equal(await ask(port, `http://${origin.authority}/`), 'reached 200');
  assert.ok(existsSync(join(home, execFileSync('whoami').toString().trim(), 'AppData/Local/viaduct/admin-token')));
  const config = join(wine.folder, 'windows.yaml');
  writeFileSync(config, '\uFEFFport: 1234\r\nname: office\r\n');
  const { code, out } = await wine.viaduct(['check', windowsPath(config)]).ended;
  assert.equal(code, 0);
  assert.match(out, /^name +"office"/m);
});

test('the proxy of the registry is used, and one of a policy before it', { skip, timeout: 180_000 }, async () => {
  const [wine, origin] = await Promise.all([windows(), originOfLab()]);
  const settings = 'HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings';
  const upstream = createServer((_, response) => response.end('by the registry')).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const address = upstream.address();
  const proxy = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  await wine.reg('add', settings, '/v', 'ProxyEnable', '/t', 'REG_DWORD', '/d', '1', '/f');
  await wine.reg('add', settings, '/v', 'ProxyServer', '/d', proxy, '/f');
  const port = await portOf(wine.viaduct(QUIET));
  assert.equal(await ask(port, 'http://intranet.invalid/'), 'by the registry 200');
  const policies = 'HKLM\\Software\\Policies\\Microsoft\\Windows\\CurrentVersion\\Internet Settings';
  const script = 'data:,function FindProxyForURL() { return "DIRECT"; }';
  await wine.reg('add', policies, '/v', 'AutoConfigURL', '/d', script, '/f');
  const direct = await portOf(wine.viaduct(QUIET));
  assert.equal(await ask(direct, `http://${origin.authority}/`), 'reached 200');
  await wine.reg('delete', policies, '/f');
  await wine.reg('add', settings, '/v', 'ProxyEnable', '/t', 'REG_DWORD', '/d', '0', '/f');
  upstream.close();
});

const SETTINGS = 'Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings';

/** As `netsh winhttp set proxy` writes it: version, counter, flags (3: by proxy), and each text behind its length. */
function winHttpSettings(proxy: string): string {
  const bytes = Buffer.alloc(12 + 4 + proxy.length + 4);
  bytes.writeUInt32LE(0x28);
  bytes.writeUInt32LE(3, 8);
  bytes.writeUInt32LE(proxy.length, 12);
  bytes.write(proxy, 16, 'latin1');
  return bytes.toString('hex');
}

test('the proxy of WinHTTP is used where the user has none', { skip, timeout: 180_000 }, async () => {
  const wine = await windows();
  const key = `HKLM\\${SETTINGS}\\Connections`;
  const value = winHttpSettings('winhttp.example:8080');
  await wine.reg('add', key, '/v', 'WinHttpSettings', '/t', 'REG_BINARY', '/d', value, '/f');
  const { out } = await wine.viaduct(['why', 'http://a.example/']).ended;
  await wine.reg('delete', key, '/v', 'WinHttpSettings', '/f');
  assert.match(out, /^ {2}by +the system's settings \(WinHTTP\)\n {2}route +http:\/\/winhttp\.example:8080$/m);
});

test('a change of the settings is noticed', { skip, timeout: 180_000 }, async () => {
  const wine = await windows();
  const program = wine.viaduct(QUIET);
  await portOf(program);
  let isNoticed = false;
  const noticed = program.says(/the network has changed \(settings\)/).then(() => {
    isNoticed = true;
  });
  let written = 0;
  // What is written before the first look at the registry is no change.
  const write = async () => {
    written += 1;
    await wine.reg('add', `HKCU\\${SETTINGS}`, '/v', 'ProxyOverride', '/d', `${written}.example`, '/f');
    return isNoticed;
  };
  await until(write, 'the change is noticed', 60_000);
  await noticed;
});

test('setup points Windows at the proxy, and gives back what was there', { skip, timeout: 180_000 }, async () => {
  const wine = await windows();
  const settings = async () => (await wine.reg('query', `HKCU\\${SETTINGS}`)).out;
  const before = await settings();
  assert.equal((await wine.viaduct(['setup', 'wininet', '--port', '3128']).ended).code, 0);
  assert.match(await settings(), /^ {4}AutoConfigURL {4}REG_SZ {4}http:\/\/127\.0\.0\.1:3128\/proxy\.pac$/m);
  assert.equal((await wine.viaduct(['setup', '--undo', 'wininet']).ended).code, 0);
  assert.equal(await settings(), before);
});

test('the settings of services are shown with what Windows has, and left to an administrator', {
  skip,
  timeout: 180_000,
}, async () => {
  const wine = await windows();
  const key = `HKLM\\${SETTINGS}\\Connections`;
  await wine.reg('add', key, '/v', 'WinHttpSettings', '/t', 'REG_BINARY', '/d', winHttpSettings('old.corp:8080'), '/f');
  const { out } = await wine.viaduct(['setup', 'winhttp', '--scope', 'system', '--port', '3128']).ended;
  await wine.reg('delete', key, '/v', 'WinHttpSettings', '/f');
  assert.match(out, /^ {2}- old\.corp:8080\n {2}\+ 127\.0\.0\.1:3128; past it: <local>$/m);
  assert.match(out, /^nothing is changed yet; to do it, in a terminal that runs as administrator: Z:/m);
});

test('a password is kept by the Credential Manager, found by the next process, and removed', {
  skip,
  timeout: 180_000,
}, async () => {
  const wine = await windows();
  const config = join(wine.folder, 'keyring.json');
  const credentials = { corp: { user: 'alice', domain: 'LAB', from: 'keyring' } };
  const upstreams = [{ host: 'localhost', credentials: 'corp', auth: ['ntlm'] }];
  writeFileSync(config, JSON.stringify({ routes: { proxy: ['http://localhost:9'] }, credentials, upstreams }));
  const at = ['--config', windowsPath(config)];
  const accountLine = async () =>
    /^ {2}account +(.*)$/m.exec((await wine.viaduct(['why', 'a.example', ...at]).ended).out);
  const stored = await wine.viaduct(['login', 'LAB\\alice', '--no-test', ...at], {}, 'secret\n').ended;
  assert.equal(stored.code, 0, stored.err);
  assert.equal((await accountLine())?.[1], 'LAB\\alice (keyring), by ntlm');
  assert.equal((await wine.viaduct(['logout', 'LAB\\alice', ...at]).ended).code, 0);
  assert.equal((await accountLine())?.[1], 'none: the keyring has no password of LAB\\alice: use viaduct login');
});

test('a configuration is found by a long path, and read when an editor has let go of it', {
  skip,
  timeout: 180_000,
}, async () => {
  const wine = await windows();
  const deep = join(wine.folder, ...Array.from({ length: 6 }, (_, at) => `${at}`.repeat(50)));
  mkdirSync(deep, { recursive: true });
  const config = join(deep, 'viaduct.yaml');
  writeFileSync(config, 'name: one\r\n');
  const program = wine.viaduct([...QUIET, '--config', windowsPath(config)]);
  await portOf(program);
  const editor = join(wine.folder, 'editor.cjs');
  writeFileSync(editor, EDITOR);
  const done = wine.node([windowsPath(editor), windowsPath(`${PROGRAM_PACKAGES}koffi`), windowsPath(config)]);
  assert.match(await program.says(/reloaded/), /viaduct\.yaml: reloaded: name$/m);
  assert.deepEqual((await done.ended).code, 0);
});

/** Opens a file by a long path so that no other program may read it, writes it, and keeps it open for a while. */
const EDITOR = `
const koffi = require(process.argv[2]);
const kernel = koffi.load('kernel32.dll');
const open = kernel.func('CreateFileW', 'int64', ['str16', 'uint32', 'uint32', 'void *', 'uint32', 'uint32', 'void *']);
const write = kernel.func('WriteFile', 'int32', ['int64', 'void *', 'uint32', 'void *', 'void *']);
const close = kernel.func('CloseHandle', 'int32', ['int64']);
const file = open('\\\\\\\\?\\\\' + process.argv[3], 0xc0000000, 0, null, 5, 0, null);
const text = Buffer.from('name: two\\r\\n');
if (file === -1n || write(file, text, text.length, Buffer.alloc(4), null) === 0) process.exit(1);
setTimeout(() => close(file), 3000);
`;

test('a program of the same user is served, and one whose user Windows does not know is refused', {
  skip,
  timeout: 180_000,
}, async () => {
  const [wine, origin] = await Promise.all([windows(), originOfLab()]);
  const config = join(wine.folder, 'same-user.yaml');
  writeFileSync(config, 'clients: { sameUser: true }\n');
  const port = await portOf(wine.viaduct([...QUIET, '--config', windowsPath(config)]));
  // Over IPv4: the table that Wine 8 has of IPv6 names no process.
  const asked = JSON.stringify({ host: '127.0.0.1', port, path: `http://${origin.authority}/`, agent: false });
  const script = `require('node:http').get(${asked}, (r) => { process.stdout.write(r.statusCode + ' '); r.pipe(process.stdout) })`;
  const { out, err } = await wine.node(['-e', script]).ended;
  assert.equal(out, '200 reached', err);
  // A program of Linux is no process of Wine's.
  assert.match(await ask(port, `http://${origin.authority}/`), /"clients\.sameUser"\.[\s\S]* 403$/);
});

test('setup points Windows at the PAC of the proxy, keeps what it said before as the source, and undoes it', {
  skip,
  timeout: 180_000,
}, async () => {
  const wine = await windows();
  const settings = 'HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings';
  await wine.reg('add', settings, '/v', 'ProxyEnable', '/t', 'REG_DWORD', '/d', '1', '/f');
  await wine.reg('add', settings, '/v', 'ProxyServer', '/d', 'old.corp:8080', '/f');
  const before = (await wine.reg('query', settings)).out;
  const port = await portOf(wine.viaduct([...QUIET, '--pac', 'none']));
  const made = await wine.viaduct(['setup', 'wininet', '--port', port]).ended;
  assert.equal(made.code, 0, made.err);
  assert.match(made.out, /^the system's own setting, http:\/\/old\.corp:8080, is used by viaduct itself from now on/m);
  const { out } = await wine.reg('query', settings);
  assert.ok(out.includes(`AutoConfigURL    REG_SZ    http://127.0.0.1:${port}/proxy.pac`), out);
  assert.match(
    (await wine.viaduct(['check']).ended).out,
    /^routes\.pac \(system\) +http:\/\/old\.corp:8080 +# setup$/m,
  );
  assert.equal((await wine.viaduct(['setup', '--undo']).ended).code, 0);
  assert.equal((await wine.reg('query', settings)).out, before);
  await wine.reg('add', settings, '/v', 'ProxyEnable', '/t', 'REG_DWORD', '/d', '0', '/f');
});

test('Ctrl-C in a console lets the request in progress finish, and ends the proxy', {
  skip,
  timeout: 180_000,
}, async () => {
  const wine = await windows();
  let respond = () => {};
  const origin = createServer((_, response) => {
    respond = () => void response.end('in the end');
  }).listen(0, '127.0.0.1');
  await once(origin, 'listening');
  const address = origin.address();
  const script = join(wine.folder, 'console.cjs');
  writeFileSync(script, CONSOLE);
  const press = join(wine.folder, 'press');
  const command = [windowsPath(join(wine.folder, 'app/dist/cli.js')), ...QUIET];
  const program = wine.node([script, `${PROGRAM_PACKAGES}koffi`, press].map(windowsPath).concat(command));
  const port = await portOf(program);
  const asked = once(origin, 'request');
  const answer = ask(port, `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/`);
  await asked;
  writeFileSync(press, '');
  await program.says(/^stopping: 1 open request has up to 30 s to finish/m);
  respond();
  assert.equal(await answer, 'in the end 200');
  const { code, err } = await program.ended;
  assert.equal(code, 0, err);
  assert.match(err, /^stopped; 1 open request finished, 0 were aborted/m);
  origin.close();
});

/** Opens a console, runs the program in it, and presses Ctrl-C when the file is there. (Ctrl-Break is not to be had: Wine sends none.) */
const CONSOLE = `
const [koffi, press, ...words] = process.argv.slice(2);
const kernel = require(koffi).load('kernel32.dll');
// What Wine was started from counts as a console, and has no keys.
kernel.func('FreeConsole', 'int32', [])();
if (kernel.func('AllocConsole', 'int32', [])() === 0) process.exit(90);
const send = kernel.func('GenerateConsoleCtrlEvent', 'int32', ['uint32', 'uint32']);
// It reaches every program of the console.
process.on('SIGINT', () => {});
const child = require('node:child_process').spawn(process.execPath, words, { stdio: 'inherit' });
child.on('exit', (code) => process.exit(code ?? 91));
const pressed = setInterval(() => {
  if (!require('node:fs').existsSync(press)) return;
  clearInterval(pressed);
  if (send(0, 0) === 0) process.exit(92);
}, 50);
`;

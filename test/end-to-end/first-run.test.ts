import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { builtCommand, viaduct } from '../support/cli.ts';
import { missing } from '../support/requires.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** What `viaduct` prints at a terminal until `last` was printed; it is then stopped as by Ctrl-C. */
async function atTerminal(words: readonly string[], environment: Record<string, string>, last: RegExp) {
  const command = [process.execPath, builtCommand(), ...words].map((word) => `'${word}'`).join(' ');
  const child = spawn('script', ['-qec', `stty cols 300; exec ${command}`, '/dev/null'], {
    env: { PATH: process.env.PATH, HOME: '/nonexistent', ...environment },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let shown = '';
  const ended = once(child, 'close');
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const isNew = !last.test(shown);
    shown += text;
    if (isNew && last.test(shown)) child.stdin.write('\x03');
  });
  assert.deepEqual(await ended, [0, null], shown);
  return shown.split(/\r?\n/);
}

test('without a configuration a terminal shows in three lines what was found, how to try it and what to do next', {
  skip: missing('bsdutils'),
  timeout: 30_000,
}, async () => {
  using folder = temporaryFolder();
  const environment = { XDG_CONFIG_HOME: folder.path, XDG_STATE_HOME: folder.path };
  const words = ['--port', '0', '--admin', 'localhost:0'];
  const lines = await atTerminal(words, environment, /^next: .*\r?\n/m);
  const url = /^listening on (\S+)$/.exec(lines[0] ?? '')?.[1];
  const dashboard = lines.flatMap((line) => /^dashboard on (\S+)$/.exec(line)?.[1] ?? [])[0];
  const at = lines.findIndex((line) => line.startsWith('found: '));
  assert.deepEqual(lines.slice(at, at + 3), [
    "found: no proxy in the system's settings, so requests go direct; no account is stored (viaduct login stores one; Kerberos tickets are used as they are)",
    `try: curl -x ${url} https://example.com/`,
    `next: viaduct setup points the programs of this machine at it; ${dashboard} shows what it does`,
  ]);
  const office = {
    ...environment,
    https_proxy: 'http://proxy.corp.example:8080',
    NTLM_CREDENTIALS: `me@CORP:${'0'.repeat(32)}`,
  };
  const [found] = (await atTerminal(words, office, /^next: .*\r?\n/m)).filter((line) => line.startsWith('found: '));
  assert.equal(found, 'found: proxies, named by environment; account CORP\\me');
});

test('a program that starts it reads none of that', async () => {
  using running = viaduct(['--port', '0', '--admin', 'localhost:0']);
  assert.doesNotMatch(await running.says('dashboard on '), /^(?:found|try|next): /m);
  running.child.kill('SIGTERM');
  assert.doesNotMatch((await running.ended).err, /^(?:found|try|next): /m);
});

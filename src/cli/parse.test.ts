import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flagsOf } from './command.ts';
import { COMMANDS } from './commands.ts';
import { FOREIGN } from './foreign-flags.ts';
import { parse } from './parse.ts';
import { UsageError } from './print.ts';

/** What a line sets, as `--flag=text`, behind the name of its command. */
function parsed(line: string): readonly string[] {
  const result = parse(line.split(' ').filter((word) => word !== ''));
  if (result.do !== 'call') return [result.do];
  const settings = result.call.settings.map(({ label, text }) => (text === '' ? label : `${label}=${text}`));
  return [result.command.name, ...settings, ...result.call.operands, ...result.notices];
}

const NOTICE = '--threads with a number does nothing here: one thread serves every connection';
const LINES: readonly (readonly [line: string, words: readonly string[]])[] = [
  ['', ['run']],
  ['run', ['run']],
  ['-p 8080 -l localhost -l [::1]:9', ['run', '--port=8080', '--listen=localhost', '--listen=[::1]:9']],
  ['run --port=8080 -q', ['run', '--port=8080', '--quiet']],
  ['-port 8888 -rate 524288', ['run', '--port=8888', '--rate=524288']],
  ['-listen=127.0.0.1', ['run', '--listen=127.0.0.1']],
  ['-version', ['version']],
  ['--version', ['version']],
  ['-h', ['help']],
  ['help check', ['help']],
  ['--prt --help', ['help']],
  ['check a.yaml', ['check', 'a.yaml']],
  ['check --rate 1MiB', ['check', '--rate=1MiB']],
  ['--threads 128 -p 1', ['run', '--port=1', NOTICE]],
  ['-c 128', ['run', NOTICE.replace('--threads', '-c')]],
  ['-c a.yaml', ['run', '--config=a.yaml']],
];
for (const [line, words] of LINES) {
  test(`viaduct ${line}`, () => assert.deepEqual(parsed(line), words));
}

const MISTAKES: readonly (readonly [line: string, message: string])[] = [
  ['--prot 1', 'unknown flag --prot; did you mean --port? (viaduct --help lists all)'],
  ['login --for 5m', '--for is no flag of login, but of mode; viaduct login --help says more'],
  ['--list', '--list is no flag of run, but of setup; viaduct run --help says more'],
  ['-z', 'unknown flag -z (viaduct --help lists all)'],
  ['--server=proxy:80', 'unknown flag --server: px has it; here --proxy URL (viaduct --help lists all)'],
  [
    '--gateway',
    'unknown flag --gateway: px has it; here --listen 0.0.0.0 with --allow LIST (viaduct --help lists all)',
  ],
  [
    '--username=CORP\\me',
    'unknown flag --username: px has it; here --user USER, and --domain DOMAIN (viaduct --help lists all)',
  ],
  ['run --socktimeout 20', 'unknown flag --socktimeout: px has it; here --timeout SECONDS (viaduct --help lists all)'],
  ['-N localhost', 'unknown flag -N: cntlm has it; here --noproxy LIST (viaduct --help lists all)'],
  [
    '-O1080',
    'unknown flag -O: cntlm has it; here nothing yet: clients speak HTTP to this proxy (viaduct --help lists all)',
  ],
  [
    '-S 4096',
    'unknown flag -S: cntlm has it; here nothing is needed: answers are not scanned (viaduct --help lists all)',
  ],
  ['--threads many', '--threads takes a number, and does nothing here (viaduct --help lists all)'],
  ['--port', '--port needs a value: N'],
  ['chek', 'unknown command chek; did you mean check? (viaduct --help lists all)'],
  ['check a b', 'check takes [FILE]; viaduct check --help says more'],
  ['run x', 'run takes no words, only flags; viaduct run --help says more'],
  ['completion', 'completion needs SHELL; viaduct completion --help says more'],
];
for (const [line, message] of MISTAKES) {
  test(`viaduct ${line} is wrong usage`, () => {
    assert.throws(
      () => parse(line.split(' ')),
      (error) => error instanceof UsageError && error.message === message,
    );
  });
}

test('the hints about flags of other programs name flags and commands that exist', () => {
  const names = new Set(COMMANDS.flatMap((command) => flagsOf(command).map(({ name }) => name)));
  for (const [flag, { instead }] of Object.entries(FOREIGN)) {
    assert.ok(!names.has(flag), `${flag} is known here`);
    for (const [, name = ''] of instead.matchAll(/--([a-z-]+)/g)) assert.ok(names.has(name), `${flag}: --${name}`);
    for (const [, name] of instead.matchAll(/viaduct ([a-z]+)/g)) {
      assert.ok(
        COMMANDS.some((command) => command.name === name),
        `${flag}: viaduct ${name}`,
      );
    }
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from './parse.ts';
import { UsageError } from './print.ts';

/** What a line sets, as `--flag=text`, behind the name of its command. */
function said(line: string): readonly string[] {
  const asked = parse(line.split(' ').filter((word) => word !== ''));
  if (asked.do !== 'call') return [asked.do];
  const settings = asked.call.settings.map(({ label, text }) => (text === '' ? label : `${label}=${text}`));
  return [asked.command.name, ...settings, ...asked.call.operands, ...asked.notices];
}

const NOTICE = '--threads with a number does nothing here: one thread serves every connection';
const LINES: readonly (readonly [line: string, says: readonly string[]])[] = [
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
for (const [line, says] of LINES) {
  test(`viaduct ${line}`, () => assert.deepEqual(said(line), says));
}

const MISTAKES: readonly (readonly [line: string, message: string])[] = [
  ['--prot 1', 'unknown flag --prot; did you mean --port? (viaduct --help lists all)'],
  ['-z', 'unknown flag -z (viaduct --help lists all)'],
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

import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { PromptCancelledError, readSecret } from './prompt.ts';

/** A terminal that notes its modes and what is shown on it. */
function terminal() {
  const modes: boolean[] = [];
  let shown = '';
  const input = Object.assign(new PassThrough(), {
    isTTY: true as const,
    isRaw: false,
    setRawMode(mode: boolean) {
      modes.push(mode);
      return input;
    },
  });
  const output = {
    write(text: string) {
      shown += text;
    },
  };
  return { input, output, modes, shown: () => shown };
}

async function typed(...keys: readonly (string | Buffer)[]): Promise<string | undefined> {
  const tty = terminal();
  const reading = readSecret('Password: ', tty);
  for (const key of keys) tty.input.write(key);
  const secret = await reading;
  assert.deepEqual(tty.modes, [true, false]);
  assert.equal(tty.shown(), 'Password: \n', 'nothing of the password is shown');
  assert.equal(tty.input.listenerCount('data') + tty.input.listenerCount('end'), 0);
  return secret?.reveal();
}

test('a password is typed without echo, up to Enter', async () => {
  assert.equal(await typed('s3cret\r'), 's3cret');
  assert.equal(await typed('s', '3', 'cret', '\n'), 's3cret');
  assert.equal(await typed('\r'), undefined);
  assert.equal(await typed('eof\x04'), 'eof');
});

test('an answer that comes at once is not echoed: the question comes when the terminal is raw', async () => {
  const tty = terminal();
  const modesAtWrites: boolean[][] = [];
  const output = {
    write(text: string) {
      modesAtWrites.push([...tty.modes]);
      if (text === 'Password: ') tty.input.write('s3cret\r');
    },
  };
  assert.equal((await readSecret('Password: ', { input: tty.input, output }))?.reveal(), 's3cret');
  assert.deepEqual(modesAtWrites, [[true], [true, false]]);
});

test('backspace takes one character back, Ctrl-U all; other control characters are nothing', async () => {
  assert.equal(await typed('pasx\x7fs\bs\r'), 'pass');
  assert.equal(await typed('ä€😀\x7f\r'), 'ä€');
  assert.equal(await typed('\x7fa\r'), 'a');
  assert.equal(await typed('wrong\x15right\r'), 'right');
  assert.equal(await typed('a\tb\x1bc\r'), 'abc');
});

test('a character may come in pieces', async () => {
  const bytes = Buffer.from('pä€\r');
  assert.equal(await typed(...[...bytes].map((byte) => Buffer.from([byte]))), 'pä€');
});

test('Ctrl-C stops, and the terminal is as it was', async () => {
  const tty = terminal();
  const reading = readSecret('Password: ', tty);
  tty.input.write('abc\x03');
  await assert.rejects(reading, PromptCancelledError);
  assert.deepEqual(tty.modes, [true, false]);
});

test('without a terminal it is the first line of standard input', async () => {
  const piped = async (...chunks: readonly string[]) => {
    const input = new PassThrough();
    for (const chunk of chunks) input.write(chunk);
    input.end();
    const secret = await readSecret('Password: ', {
      input,
      output: { write: () => assert.fail('there is no terminal') },
    });
    return secret?.reveal();
  };
  assert.equal(await piped('s3cret\n'), 's3cret');
  assert.equal(await piped('s3', 'cret'), 's3cret');
  assert.equal(await piped('s3cret\r\nmore\n'), 's3cret');
  assert.equal(await piped(''), undefined);
  assert.equal(await piped(' with spaces \n'), ' with spaces ');
});

test('standard input that stays open is enough once it has a line; one without an end is refused', async () => {
  const open = new PassThrough();
  open.write('s3cret\n');
  const output = { write: () => {} };
  assert.equal((await readSecret('', { input: open, output }))?.reveal(), 's3cret');
  const endless = new PassThrough();
  endless.write('x'.repeat(70_000));
  await assert.rejects(readSecret('', { input: endless, output }), /first line has no end/);
});

test('in the background of its terminal it says first that it will be stopped', async () => {
  const tty = terminal();
  const reading = readSecret('Password (for me): ', { ...tty, isInBackground: () => true });
  tty.input.write('x\r');
  assert.equal((await reading)?.reveal(), 'x');
  assert.match(
    tty.shown(),
    /^viaduct: Password \(for me\) has to be typed, [^\n]* fg brings it back\nPassword \(for me\): \n$/,
  );
});

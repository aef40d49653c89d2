import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { temporaryFolder } from '../../test/support/temporary.ts';
import { FileError } from './file-terms.ts';
import { readFileAsync, readFileBounded } from './read-file.ts';

const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());
const at = (name: string): string => join(folder.path, name);

const refusing = { bytesMax: 1000, pipes: 'refuse' } as const;
const waiting = { bytesMax: 1000, pipes: 'wait' } as const;

function whyNot(path: string, terms: Parameters<typeof readFileBounded>[1]): string {
  try {
    return `read ${readFileBounded(path, terms).length} bytes`;
  } catch (error) {
    assert.ok(error instanceof FileError, String(error));
    return error.why;
  }
}
const whyNotLater = (path: string): Promise<string> =>
  readFileAsync(path, { bytesMax: 1000 }).then(
    (bytes) => `read ${bytes.length} bytes`,
    (error: unknown) => (error instanceof FileError ? error.why : String(error)),
  );

describe('what is read at once and what is read later', {
  skip: process.platform === 'win32' && 'no such files',
}, () => {
  mkdirSync(at('folder'));
  writeFileSync(at('most'), 'x'.repeat(1000));
  writeFileSync(at('more'), 'x'.repeat(1001));
  writeFileSync(at('image'), '');
  // A disk image of a terabyte, of which nothing is on the disk.
  truncateSync(at('image'), 1e12);
  symlinkSync(at('most'), at('link'));
  symlinkSync(at('circle'), at('circle'));
  execFileSync('mkfifo', [at('pipe')]);
  for (const [path, why] of [
    [at('most'), 'read 1000 bytes'],
    [at('link'), 'read 1000 bytes'],
    [at('more'), 'it is larger than 1000B'],
    [at('image'), 'it is larger than 1000B'],
    [at('none'), 'there is no such file'],
    [at('most/below'), 'there is no such file'],
    [at('folder'), 'it is a folder'],
    [at('circle'), 'its symbolic links form a circle'],
    [at('pipe'), 'it is not a regular file but a pipe, which can be read only once'],
    ['/dev/null', 'read 0 bytes'],
    ['/dev/zero', 'it is not a regular file'],
    ['/dev/random', 'it is not a regular file'],
    ['/dev/tty', 'it is not a regular file'],
    // It has no size, and its text is long.
    ['/proc/self/smaps', 'it is larger than 1000B'],
  ] as const)
    test(path.replace(folder.path, ''), async () => {
      assert.equal(whyNot(path, refusing), why);
      assert.equal(await whyNotLater(path), why);
    });

  test('a socket', async () => {
    const server = createServer().listen(at('socket'));
    assert.equal(whyNot(at('socket'), waiting), 'it is not a regular file');
    assert.equal(await whyNotLater(at('socket')), 'it is not a regular file');
    server.close();
  });

  test('the opened file is passed to `check` before it is read', async () => {
    const judge = ({ size }: { readonly size: number }) => {
      throw new Error(`of ${size} bytes`);
    };
    assert.throws(() => readFileBounded(at('most'), { ...refusing, check: judge }), /^Error: of 1000 bytes$/);
    await assert.rejects(readFileAsync(at('most'), { bytesMax: 1000, check: judge }), /^Error: of 1000 bytes$/);
  });
});

describe('a pipe that may be waited for', { skip: process.platform === 'win32' && 'no such files' }, () => {
  const written = (name: string, script: string): string => {
    execFileSync('mkfifo', [at(name)]);
    // It opens the pipe for as long as it takes: where the reader has given up, that is for ever.
    spawn('sh', ['-c', script, 'sh', at(name)], { stdio: 'ignore', timeout: 10_000, killSignal: 'SIGKILL' });
    return at(name);
  };
  test('is read to its end, also from a slow writer', () => {
    const path = written('slow', '{ printf one; sleep 0.2; printf two; } > "$1"');
    assert.equal(readFileBounded(path, waiting).toString(), 'onetwo');
  });
  test('is refused as soon as it is too large', () => {
    const path = written('endless', 'yes > "$1"');
    assert.equal(whyNot(path, waiting), 'it is larger than 1000B');
  });
  test('is given up when no program writes into it', () => {
    execFileSync('mkfifo', [at('lonely')]);
    assert.equal(whyNot(at('lonely'), waiting), 'it is a pipe that no program writes into');
  });
});

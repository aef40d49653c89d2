import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  appendFileSync,
  type FSWatcher,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { temporaryFolder } from '../../test/support/temporary.ts';
import { watchFile } from './watch-file.ts';

/** A file that is watched; the system's events are real, and the time that passes is not. */
function watched() {
  const folder = temporaryFolder();
  const path = join(folder.path, 'file');
  writeFileSync(path, 'before\n');
  const clock = new ManualClock();
  let reports = 0;
  let watching: Disposable | undefined;
  let witness: FSWatcher | undefined;
  const stop = () => {
    watching?.[Symbol.dispose]();
    witness?.close();
  };
  const begin = () => {
    stop();
    watching = watchFile(path, clock, () => reports++);
    // Later than the other watch of the folder, so that it hears each event after that one. It keeps the test awake.
    witness = watch(folder.path);
  };
  begin();
  return {
    folder: folder.path,
    path,
    clock,
    begin,
    get reports() {
      return reports;
    },
    /** Does something to files of the folder, and resolves when the watch has heard of it. */
    async step(act: () => void): Promise<void> {
      assert.ok(witness);
      const heard = once(witness, 'change');
      act();
      await heard;
      // The other events of the same step came in the same read.
      await nextTurn();
    },
    [Symbol.dispose]() {
      stop();
      folder[Symbol.dispose]();
      assert.equal(clock.pending, 0, 'a timer is left');
    },
  };
}

test('a file that is written in place is reported when nothing has happened to it for a second', async () => {
  using at = watched();
  await at.step(() => truncateSync(at.path));
  at.clock.advance(999);
  await at.step(() => appendFileSync(at.path, 'half'));
  at.clock.advance(999);
  assert.equal(at.reports, 0);
  await at.step(() => appendFileSync(at.path, ' and half\n'));
  at.clock.advance(999);
  assert.equal(at.reports, 0);
  at.clock.advance(1);
  assert.equal(at.reports, 1);
});

test('a write without an event begins the second anew', async () => {
  using at = watched();
  await at.step(() => appendFileSync(at.path, 'one\n'));
  // Its event has not been read yet when the second is over.
  appendFileSync(at.path, 'two\n');
  at.clock.advance(1000);
  assert.equal(at.reports, 0);
  await at.step(() => appendFileSync(at.path, 'three\n'));
  at.clock.advance(1000);
  assert.equal(at.reports, 1);
});

test('a file that is renamed into its place is reported at once', async () => {
  using at = watched();
  await at.step(() => writeFileSync(join(at.folder, 'new'), 'after\n'));
  assert.equal(at.clock.pending, 0, 'other files say nothing about this one');
  await at.step(() => renameSync(join(at.folder, 'new'), at.path));
  at.clock.advance(50);
  assert.equal(at.reports, 1);
});

test('a link that leads to another file is reported at once, as a mounted folder swaps it', async () => {
  using at = watched();
  for (const version of ['one', 'two']) {
    mkdirSync(join(at.folder, version));
    writeFileSync(join(at.folder, version, 'file'), version);
  }
  rmSync(at.path);
  symlinkSync('one', join(at.folder, 'data'));
  symlinkSync('data/file', at.path);
  at.begin();
  await at.step(() => symlinkSync('two', join(at.folder, 'data.new')));
  await at.step(() => renameSync(join(at.folder, 'data.new'), join(at.folder, 'data')));
  at.clock.advance(50);
  assert.equal(at.reports, 1);
});

test('a file that is removed and made anew is one that is written in place', async () => {
  using at = watched();
  await at.step(() => rmSync(at.path));
  at.clock.advance(500);
  await at.step(() => writeFileSync(at.path, ''));
  at.clock.advance(500);
  await at.step(() => writeFileSync(at.path, 'after\n'));
  at.clock.advance(999);
  assert.equal(at.reports, 0);
  at.clock.advance(1);
  assert.equal(at.reports, 1);
});

test('a file that is gone for a second is reported, and so is its return', async () => {
  using at = watched();
  await at.step(() => rmSync(at.path));
  at.clock.advance(1000);
  assert.equal(at.reports, 1);
  await at.step(() => writeFileSync(at.path, 'before\n'));
  at.clock.advance(1000);
  assert.equal(at.reports, 2);
});

test('what happens to other files in the folder is not reported', async () => {
  using at = watched();
  await at.step(() => writeFileSync(join(at.folder, 'other'), 'x'));
  await at.step(() => utimesSync(join(at.folder, 'other'), 1, 1));
  await at.step(() => rmSync(join(at.folder, 'other')));
  assert.equal(at.clock.pending, 0);
});

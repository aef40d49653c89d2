/**
 * Hostile bytes. `hostile.json` is a collection that other projects can use as well; `hostile-more.json` is ours, in
 * the same form. A failing case is mended in the rule behind it.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import * as z from 'zod';
import { noNamespace, startWithoutNetwork } from '../support/namespace.ts';
import { readCases } from './cases.ts';
import type { Transport } from './stage.ts';

const FILES = ['hostile.json', 'hostile-more.json'];
const skip = noNamespace();

const verdict = z.object({ id: z.string(), problems: z.array(z.string()), outcome: z.unknown() });
type Verdict = z.infer<typeof verdict>;

/** A test for each case. */
export function hostileTests(over: Transport): void {
  const verdicts = new Map<string, Verdict>();
  const waiting = new Map<string, () => void>();
  let inside: ChildProcess | undefined;
  let isOver = false;

  before(() => {
    if (skip !== false) return;
    inside = startWithoutNetwork(new URL('inside.ts', import.meta.url), over, ...FILES);
    if (inside.stdout === null) throw new Error('no standard output');
    createInterface({ input: inside.stdout }).on('line', (line) => {
      const read = verdict.parse(JSON.parse(line));
      verdicts.set(read.id, read);
      waiting.get(read.id)?.();
    });
    inside.on('close', () => {
      isOver = true;
      for (const go of waiting.values()) go();
    });
  });
  after(() => void inside?.kill('SIGKILL'));

  async function verdictOf(id: string): Promise<Verdict | undefined> {
    if (!verdicts.has(id) && !isOver) await new Promise<void>((resolve) => waiting.set(id, resolve));
    return verdicts.get(id);
  }

  for (const file of FILES) {
    for (const { id, level, description } of readCases(file)) {
      test(`${id} ${level}: ${description}`, { skip }, async () => {
        const known = await verdictOf(id);
        assert.ok(known !== undefined, 'the cases stopped before this one');
        assert.deepEqual(known.problems, [], JSON.stringify(known.outcome, null, 1));
      });
    }
  }
}

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { wrongEdges } from './floors.ts';

function houseOf(files: Record<string, string>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'floors-'));
  try {
    for (const [path, source] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), source);
    }
    return wrongEdges(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

test('lower floors and the own folder may be imported', () => {
  const wrong = houseOf({
    'core/a.ts': '',
    'relay/pump.ts': "import type { A } from '../core/a.ts';\nimport { b } from './b.ts';\n",
    'engine.ts': "import { pump } from './relay/pump.ts';\n",
    'index.ts': "export { engine } from './engine.ts';\n",
    'cli/run.ts': "const { start } = await import('../index.ts');\n",
  });
  assert.deepEqual(wrong, []);
});

test('a higher floor is named with both ends of the edge', () => {
  assert.deepEqual(houseOf({ 'relay/a.ts': "import { b } from '../pipeline/b.ts';\n" }), [
    'relay/a.ts (floor 2 relay) imports pipeline/b.ts (floor 3 pipeline)',
  ]);
});

test('rooms do not import each other, nor does the pipeline import the configuration', () => {
  assert.deepEqual(
    houseOf({
      'limits/a.ts': "import { b } from '../policy/b.ts';\n",
      'pipeline/c.ts': "import type { Config } from '../config/schema.ts';\n",
    }),
    [
      'limits/a.ts (floor 2 limits) imports policy/b.ts (floor 2 policy)',
      'pipeline/c.ts (floor 3 pipeline) imports config/schema.ts (floor 3 config)',
    ],
  );
});

test('the options of a room are open to the configuration, and import nothing of their room', () => {
  assert.deepEqual(
    houseOf({
      'config/schema.ts':
        "import { relayOptions } from '../relay/options.ts';\nimport { l } from '../listeners/options.ts';\n",
      'relay/options.ts': "import { units } from '../core/units.ts';\nimport { z } from 'zod';\n",
      'limits/options.ts': "import { bucket } from './bucket.ts';\n",
    }),
    ['limits/options.ts (floor 1 limits options) imports limits/bucket.ts (floor 2 limits)'],
  );
});

test('dynamic imports, re-exports and bare imports count', () => {
  const wrong = houseOf({
    'core/a.ts': "export * from '../relay/x.ts';\nimport '../relay/y.ts';\nawait import('../relay/z.ts');\n",
  });
  assert.equal(wrong.length, 3);
});

test('core and protocol do no input and no output', () => {
  assert.deepEqual(
    houseOf({ 'protocol/a.ts': "import { readFileSync } from 'node:fs';\n", 'relay/b.ts': "import 'node:fs';\n" }),
    ['protocol/a.ts (floor 1 protocol) imports node:fs: no input or output here'],
  );
});

test('a file outside every room is an error, and a test may import anything', () => {
  assert.deepEqual(
    houseOf({
      'helpers.ts': "import 'node:os';\n",
      'misc/a.ts': "import 'node:os';\n",
      'core/a.test.ts': "import '../cli/main.ts';\n",
    }),
    ['helpers.ts lies in no room of the house', 'misc/a.ts lies in no room of the house'],
  );
});

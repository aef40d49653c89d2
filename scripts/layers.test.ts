import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { wrongImports } from './layers.ts';

function wrongIn(files: Record<string, string>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'layers-'));
  try {
    for (const [path, source] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), source);
    }
    return wrongImports(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

test('lower layers and the own module may be imported', () => {
  const wrong = wrongIn({
    'contracts/a.ts': '',
    'relay/pump.ts': "import type { A } from '../contracts/a.ts';\nimport { b } from './deep/b.ts';\n",
    'app/generation.ts': "import { pump } from '../relay/pump.ts';\n",
    'index.ts': "export { engine } from './app/generation.ts';\n",
    'cli/run/run.ts': "const { start } = await import('../../app/start.ts');\n",
  });
  assert.deepEqual(wrong, []);
});

test('an import of a higher layer is named with both ends', () => {
  assert.deepEqual(wrongIn({ 'relay/a.ts': "import { b } from '../pipeline/b.ts';\n" }), [
    'relay/a.ts (layer 5 relay) imports pipeline/b.ts (layer 7 pipeline)',
  ]);
});

test('modules of one layer do not import each other, nor does the pipeline import the configuration', () => {
  assert.deepEqual(
    wrongIn({
      'limits/a.ts': "import { b } from '../policy/b.ts';\n",
      'pipeline/c.ts': "import type { Config } from '../config/schema.ts';\n",
    }),
    [
      'limits/a.ts (layer 5 limits) imports policy/b.ts (layer 5 policy)',
      'pipeline/c.ts (layer 7 pipeline) imports config/schema.ts (layer 7 config)',
    ],
  );
});

test('the options of a module are open to the configuration, and import nothing of their module', () => {
  assert.deepEqual(
    wrongIn({
      'config/schema.ts':
        "import { relayOptions } from '../relay/options.ts';\nimport { l } from '../clients/options.ts';\n",
      'relay/options.ts': "import { units } from '../settings/units.ts';\nimport * as z from 'zod';\n",
      'limits/options.ts': "import { bucket } from './shaping/bucket.ts';\n",
    }),
    ['limits/options.ts (layer 2.5 limits options) imports limits/shaping/bucket.ts (layer 5 limits)'],
  );
});

test('values and contracts do no input or output', () => {
  assert.deepEqual(wrongIn({ 'protocol/a.ts': "import { readFileSync } from 'node:fs';\n" }), [
    'protocol/a.ts (layer 3 protocol) imports node:fs: no input or output here',
  ]);
  assert.deepEqual(wrongIn({ 'files/a.ts': "import { readFileSync } from 'node:fs';\n" }), []);
});

test('dynamic imports, re-exports and bare imports count', () => {
  const wrong = wrongIn({
    'util/a.ts': "export * from '../relay/x.ts';\nimport '../relay/y.ts';\nawait import('../relay/z.ts');\n",
  });
  assert.equal(wrong.length, 3);
});

test('a file outside every module is an error, and a test may import anything', () => {
  assert.deepEqual(
    wrongIn({
      'helpers.ts': "import 'node:os';\n",
      'misc/a.ts': "import 'node:os';\n",
      'util/a.test.ts': "import '../cli/main.ts';\n",
    }),
    ['helpers.ts belongs to no known module', 'misc/a.ts belongs to no known module'],
  );
});

test('a cycle is named, of types too, and inside one module', () => {
  assert.deepEqual(
    wrongIn({
      'pac/a.ts': "import { b } from './b.ts';\n",
      'pac/b.ts': "import type { C } from './deep/c.ts';\n",
      'pac/deep/c.ts': "import type { A } from '../a.ts';\n",
    }),
    ['pac/a.ts → pac/b.ts → pac/deep/c.ts → pac/a.ts: a cycle'],
  );
});

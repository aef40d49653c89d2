/** Pages name files of this repository in backticks: a reader who looks one up has to find it. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ROOT } from './tools.ts';

const PAGES = globSync(['docs/*.md', 'docs/decisions/*.md'], { cwd: ROOT });
/** Where a path may begin. */
const ROOTS = ['', 'src/', 'test/', 'docs/'];
const EVERYWHERE = globSync(['{src,native,scripts,bench,test,examples,docs}/**', '*'], {
  cwd: ROOT,
  withFileTypes: true,
});
const NAMES = new Set(EVERYWHERE.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)));

/** A file of a kind that only this repository has, or a folder. Files such as `quota.json` are written by the program. */
const PATH = /^(?:[\w.<>*-]+\/)*(?:[\w.<>*-]+\.(?:ts|cc|h|md)|[\w.<>*-]+\/)$/;

/** A path, and whether the page says that it is to be written. */
interface Mention {
  readonly path: string;
  readonly isNew: boolean;
}

function mentionsIn(text: string): Mention[] {
  return Array.from(text.matchAll(/(\*new\* )?`([^`\n]+)`/g), ([, mark, path = '']) => ({
    path,
    isNew: mark !== undefined,
  })).filter(({ path }) => PATH.test(path));
}

/** A name alone is found in any folder: the text around it says in which. */
function exists(path: string): boolean {
  if (/^[^/]+\/?$/.test(path) && !path.includes('*')) return NAMES.has(path);
  return ROOTS.some((root) => globSync(`${root}${path}`, { cwd: ROOT }).length > 0);
}

/** What is wrong with a mention; `undefined`: nothing. */
function problemOf({ path, isNew }: Mention): string | undefined {
  const placeholder = path.indexOf('<');
  if (!isNew)
    return placeholder < 0 && exists(path)
      ? undefined
      : `${path}: there is no such file; write *new* before one to come`;
  if (placeholder < 0 && exists(path)) return `${path}: there is such a file, it is not new`;
  const folder = path.slice(0, path.lastIndexOf('/', placeholder < 0 ? path.length - 2 : placeholder) + 1);
  return exists(folder) ? undefined : `${path}: there is no folder ${folder}`;
}

for (const page of PAGES) {
  test(`${page} names files that exist`, () => {
    const problems = mentionsIn(readFileSync(`${ROOT}${page}`, 'utf8')).flatMap((mention) => problemOf(mention) ?? []);
    assert.deepEqual(problems, []);
  });
}

test('a path that is gone is found, and one to come has to be marked as new', () => {
  const problems = (text: string) => mentionsIn(text).map(problemOf);
  assert.deepEqual(
    problems('`scripts/words.ts`, `words.ts`, `limits/`, `net/epoll-*.ts`, `quota.json`'),
    Array(4).fill(undefined),
  );
  assert.deepEqual(problems('*new* `limits/shared/redis.ts`, *new* `clients/<protocol>/`'), [undefined, undefined]);
  const gone = [
    '`limits/absent.ts`',
    '`absent.ts`',
    '`limits/<name>.ts`',
    '*new* `scripts/words.ts`',
    '*new* `absent/<name>.ts`',
  ];
  for (const text of gone) assert.equal(typeof problems(text)[0], 'string', text);
});

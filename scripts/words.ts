/**
 * Checks that names, comments, messages and pages use the words of the field (docs/ARCHITECTURE.md, glossary): the words
 * below say neither who acts nor what a thing is.
 *
 *   node scripts/words.ts [PATH…]     files and folders; everything that the project writes by default
 */
import { globSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './tools.ts';

const PATHS: readonly string[] = [
  'src',
  'dashboard',
  'native',
  'bench',
  'scripts',
  'test',
  'examples',
  'docs',
  'README.md',
];
const TEXT = '**/*.{ts,tsx,cc,h,c,go,md}';

/** Each with what to write instead. */
const WORDS: ReadonlyMap<string, string> = new Map([
  ['told', 'name who reports what to whom'],
  ['whoever', 'name the component'],
  ['nobody', 'name who does not'],
  ['anybody', 'name the component'],
  ['everybody', 'name them'],
  ['somebody', 'name the component'],
  ['whatever', 'say which'],
  ['house', 'module'],
  ['room', 'module, or space'],
  ['rooms', 'modules'],
  ['floor', 'layer'],
  ['floors', 'layers'],
  ['hall', 'shared services'],
  ['story', 'test, or request'],
  ['stories', 'tests'],
  ['crew', 'workers'],
  ['desk', 'server, or allocator'],
  ['till', 'until, or allocator'],
  ['lender', 'limits server'],
  ['borrower', 'limits client'],
  ['lane', 'epoll sockets, or thread'],
  ['wayfinding', 'PAC service'],
  ['logon', 'login, or connection authentication'],
  ['logons', 'logins'],
]);
const PHRASES: readonly (readonly [RegExp, string])[] = [
  [/\bthose who\b/i, 'name them'],
  [/\bslips? of the pen\b/i, 'typing error'],
  [/\bby which way\b/i, 'by which route'],
  [/\bs[ia]ts? out\b|\bsitting out\b|sit(s|ting)Out/i, 'is down'],
];
/** Where such a word is what the thing is called by others. */
const EXCEPTIONS: readonly (readonly [path: RegExp, word: string])[] = [
  [/^scripts\/words(\.test)?\.ts$/, '*'],
  // A Unix account.
  [/^test\/lab\/dante\.ts$/, 'nobody'],
  // Elements of the Task Scheduler's XML.
  [/^src\/cli\/service\/task-scheduler\.ts$/, 'logon'],
];

/** Every such word in a text, one line each. */
export function wordsIn(path: string, text: string): string[] {
  const allowed = new Set(EXCEPTIONS.flatMap(([where, word]) => (where.test(path) ? [word] : [])));
  if (allowed.has('*')) return [];
  return text.split('\n').flatMap((line, at) => {
    const spelt = line.replaceAll('Math.floor', '');
    const found = [...new Set(partsOf(spelt))].flatMap((word) => {
      const instead = WORDS.get(word);
      return instead === undefined || allowed.has(word) ? [] : [`"${word}": ${instead}`];
    });
    const phrases = PHRASES.flatMap(([phrase, instead]) => {
      const hit = phrase.exec(spelt);
      return hit === null ? [] : [`"${hit[0]}": ${instead}`];
    });
    return [...found, ...phrases].map((what) => `${path}:${at + 1}: ${what}`);
  });
}

/** The words of a line; of an identifier each part, as its capitals divide it. */
const partsOf = (line: string): string[] =>
  line
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .split(/[^A-Za-z]+/)
    .map((word) => word.toLowerCase());

function filesIn(path: string): string[] {
  const at = join(ROOT, path);
  const stats = statSync(at, { throwIfNoEntry: false });
  if (stats === undefined) return [];
  return stats.isDirectory() ? globSync(TEXT, { cwd: at }).map((file) => `${path}/${file}`) : [path];
}

if (import.meta.main) {
  const asked = process.argv.slice(2);
  const wrong = (asked.length > 0 ? asked : PATHS)
    .flatMap(filesIn)
    .sort()
    .flatMap((path) => wordsIn(path, readFileSync(join(ROOT, path), 'utf8')));
  for (const line of wrong) process.stderr.write(`${line}\n`);
  process.exitCode = wrong.length > 0 ? 1 : 0;
}

/**
 * Every declaration that a program can reach through the public interface, in one file that reviewers read:
 * `docs/API.md`. `npm run check` fails when it is out of date, or when a signature mentions a type that is not exported.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { ROOT, runTool } from './tools.ts';

const REPORT = `${ROOT}docs/API.md`;
const HEAD = `# Public types

This page is made by \`npm run docs\`; a change here is a change for every program that uses the package.

`;

interface Declaration {
  readonly name: string;
  readonly text: string;
  readonly file: string;
}
/** Of `a, type b as c`. */
function namesIn(list = ''): { readonly name: string; readonly as: string }[] {
  return list.split(',').flatMap((part) => {
    const [name = '', as = name] = part
      .trim()
      .replace(/^type /, '')
      .split(' as ');
    return name === '' ? [] : [{ name, as }];
  });
}

/** One file of declarations. */
interface Source {
  readonly declared: ReadonlyMap<string, Declaration>;
  /** Names from other files: what they are called there, and where. */
  readonly imported: ReadonlyMap<string, { readonly name: string; readonly file: string }>;
}

const DECLARED =
  /^(?:export )?(?:declare )?(?:abstract )?(?:interface|type|class|const|function|enum) ([A-Za-z_$][\w$]*)/;
const FROM = /^(?:import|export)(?: type)? \{([^}]*)\} from '(\.[^']+)\.ts';$/;

function readSource(file: string): Source {
  const declared = new Map<string, Declaration>();
  const imported = new Map<string, { name: string; file: string }>();
  let text = '';
  const flush = (): void => {
    const name = DECLARED.exec(text.replace(/^\/\*\*[\s\S]*?\*\/\n/, ''))?.[1];
    if (name !== undefined) declared.set(name, { name, text: text.trimEnd(), file });
    text = '';
  };
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const from = FROM.exec(line);
    if (from !== null) {
      const path = resolve(dirname(file), `${from[2]}.d.ts`);
      for (const { name, as } of namesIn(from[1])) imported.set(as, { name, file: path });
      continue;
    }
    // A statement begins in the first column, with its comment before it.
    if (/^\/\*\*/.test(line) || (/^[a-z]/.test(line) && !/\*\/\s*$/.test(text))) flush();
    text += `${line}\n`;
  }
  flush();
  return { declared, imported };
}

/** The report, and the names that a program can reach and not import. */
function apiReport(folder: string): { readonly text: string; readonly missing: readonly string[] } {
  const sources = new Map<string, Source>();
  const sourceOf = (file: string): Source => {
    const known = sources.get(file) ?? readSource(file);
    sources.set(file, known);
    return known;
  };
  const find = (name: string, file: string): Declaration | undefined => {
    const { declared, imported } = sourceOf(file);
    const other = imported.get(name);
    return declared.get(name) ?? (other && find(other.name, other.file));
  };
  const entry = join(folder, 'index.d.ts');
  const { declared } = sourceOf(entry);
  const own = [...declared.values()].filter(({ text }) => /^export /m.test(text)).map(({ name }) => name);
  const exported = new Set([...own, ...namesExportedFrom(entry)]);
  const reached = new Map<string, Declaration>();
  const missing: string[] = [];
  const visit = (name: string, file: string, isPublic: boolean): void => {
    const declaration = find(name, file);
    if (declaration === undefined) return;
    const key = `${declaration.file} ${declaration.name}`;
    if (reached.has(key)) return;
    reached.set(key, declaration);
    const isValue = /^(?:export )?declare const /m.test(declaration.text);
    if (!isPublic && !isValue && !exported.has(declaration.name)) missing.push(declaration.name);
    // A schema mentions what it makes of its input; a program sees the input alone.
    if (isValue) return;
    const source = sourceOf(declaration.file);
    for (const [word] of withoutComments(declaration.text).matchAll(/[A-Za-z_$][\w$]*/g)) {
      if (source.declared.has(word) || source.imported.has(word)) visit(word, declaration.file, false);
    }
  };
  for (const name of exported) visit(name, entry, true);
  const texts = [...reached.values()].sort((a, b) => (a.name < b.name ? -1 : 1)).map(({ text }) => text);
  return { text: `${HEAD}\`\`\`ts\n${texts.join('\n\n')}\n\`\`\`\n`, missing };
}

function namesExportedFrom(entry: string): string[] {
  const lists = readFileSync(entry, 'utf8').matchAll(/^export(?: type)? \{([^}]*)\}/gm);
  return [...lists].flatMap(([, names]) => namesIn(names).map(({ as }) => as));
}

const withoutComments = (text: string): string => text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/'[^'\n]*'/g, '');

/** The exit code: 0 when the report is what it should be, and complete. */
export function main(mode: 'check' | 'write'): number {
  const folder = mkdtempSync(join(tmpdir(), 'viaduct-api-'));
  try {
    const emitted = runTool('tsc', '-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--outDir', folder);
    if (emitted !== 0) return emitted;
    const { text, missing } = apiReport(folder);
    for (const name of missing)
      process.stderr.write(`src/index.ts: a signature mentions ${name}, which is not exported\n`);
    if (mode === 'write') writeFileSync(REPORT, text);
    else if (readFileSync(REPORT, 'utf8') !== text) {
      process.stderr.write('docs/API.md is out of date: the public types have changed; npm run docs\n');
      return 1;
    }
    return missing.length === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.main) process.exitCode = main(process.argv.includes('--check') ? 'check' : 'write');

import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from 'yaml';
import { redact } from '../../util/redact.ts';
import { ConfigError, type Path } from '../problems.ts';

/** A YAML text as its parser has it, with the line of everything. */
export interface YamlDocument {
  /** Throws ConfigError. */
  values(): unknown;
  /** Line of the setting at a path; of what surrounds it where the setting itself is not written. */
  lineAt(path: Path): number;
}

/** Throws ConfigError at the first mistake of syntax. */
export function parseYamlDocument(text: string, name: string): YamlDocument {
  const counter = new LineCounter();
  // JSON is YAML, so one parser knows the lines of both.
  const document = parseDocument(text, { lineCounter: counter, merge: true, prettyErrors: false });
  const lineOf = (offset: number) => counter.linePos(offset).line;
  const broken = [...document.errors, ...document.warnings][0];
  if (broken !== undefined) throw new ConfigError([`${name}:${lineOf(broken.pos[0])}: ${syntaxText(broken)}`]);
  // The parser's own message would repeat it, and `from: *secret` is a password whose quotes were forgotten.
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) !== undefined) return;
      const at = `${redact(name)}:${lineOf(alias.range?.[0] ?? 0)}`;
      throw new ConfigError([`${at}: has an alias without its anchor; put a text that begins with * in quotes`]);
    },
  });
  const nodeOf = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);
  const lineAt = (path: Path): number => {
    let node = nodeOf(document.contents);
    let line = offsetLine(node, lineOf) ?? 1;
    for (const part of path) {
      const found = childOf(node, part);
      if (found === undefined) break;
      line = offsetLine(found.at, lineOf) ?? line;
      node = nodeOf(found.value);
    }
    return line;
  };
  return { values: () => plainValues(document, name), lineAt };
}

/** A few aliases of aliases make gigabytes of a short text; the parser counts them and gives up. */
function plainValues(document: Document, name: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new ConfigError([`${name}: ${error instanceof Error ? error.message : String(error)}`]);
  }
}

function childOf(node: unknown, part: string | number): { at: unknown; value: unknown } | undefined {
  if (isMap(node)) {
    const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part));
    return pair && { at: pair.key, value: pair.value };
  }
  if (isSeq(node) && typeof part === 'number' && part < node.items.length) {
    return { at: node.items[part], value: node.items[part] };
  }
  return undefined;
}

function offsetLine(node: unknown, lineOf: (offset: number) => number): number | undefined {
  const range = (node as Partial<Node> | null | undefined)?.range;
  return range == null ? undefined : lineOf(range[0]);
}

/** What the parser says in words that repeat the file: with a slip in a line, the line may be a password. */
const SYNTAX: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'the same setting is written twice; keep one of the two',
  TAB_AS_INDENT: 'a tab indents this line; YAML wants spaces',
  TAG_RESOLVE_FAILED: 'has a tag that means nothing here; put a text that begins with ! in quotes',
  BAD_COLLECTION_TYPE: 'has a tag that means nothing here; put a text that begins with ! in quotes',
  BAD_DIRECTIVE: 'has a directive that means nothing here; put a text that begins with % in quotes',
  BAD_DQ_ESCAPE: 'has a backslash in double quotes that escapes nothing; write \\\\, or use single quotes',
};

function syntaxText({ code, message }: { readonly code: string; readonly message: string }): string {
  const own = Object.hasOwn(SYNTAX, code) ? SYNTAX[code] : undefined;
  if (own !== undefined) return own;
  // `Unexpected scalar token in YAML stream: "…"`, and its like.
  const plain = code === 'UNEXPECTED_TOKEN' ? message.replace(/: .*$/s, '') : message;
  return `is not valid YAML: ${plain.replace(/\s+/g, ' ')}`;
}

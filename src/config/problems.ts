import type * as z from 'zod';
import { quoted } from '../util/redact.ts';
import { type JsonSchema, knownKeys, schemaAt } from './json-schema.ts';
import { nearest, suggestion } from './nearest.ts';

/** Where a setting stands in a configuration: `['limits', 'bandwidth', 0, 'rate']`. */
export type Path = readonly (string | number)[];

/** One thing that is wrong with a configuration, and what to write instead. */
export interface Problem {
  readonly path: Path;
  readonly message: string;
}

/** A configuration that cannot be used. `lines` has one complete sentence per problem, with its place. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly lines: readonly string[];
  constructor(lines: readonly string[]) {
    super(lines.join('\n'));
    this.lines = lines;
  }
}

/**
 * `limits.bandwidth[0].rate`, for messages: a key is quoted unless it is a plain word. In a flow of YAML `{me:secret}` is a key.
 */
export function pathText(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    const word = /^[\w$-]+$/.test(part) ? part : /[:/?#\s]/.test(part) ? quoted(part) : JSON.stringify(part);
    return text === '' ? word : `${text}.${word}`;
  }, '');
}

export function valueAt(values: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, part) => (isRecord(value) ? value[part] : undefined), values);
}

/** The issues of the schema library in the words of this program. */
export function problemsOf(error: z.ZodError, values: unknown, jsonSchema: JsonSchema): Problem[] {
  return error.issues.flatMap((issue) => explain(issue, [], values, jsonSchema));
}

function explain(issue: z.core.$ZodIssue, base: Path, values: unknown, jsonSchema: JsonSchema): Problem[] {
  const path = [...base, ...plainPath(issue.path)];
  const value = valueAt(values, path);
  const describe = isSecretPlace(path) ? describeKind : describeValue;
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...path, key], message: unknownKey(key, path, jsonSchema) }));
  }
  // A message of our own schemas is complete; the library's own messages are rewritten.
  const isOwnSentence = issue.code === 'custom' || !/^(Invalid|Unrecognized|Too )/.test(issue.message);
  if (isOwnSentence) {
    const whole = issue.message.startsWith('expected ') ? `${describe(value)}; ${issue.message}` : issue.message;
    return [{ path, message: whole }];
  }
  switch (issue.code) {
    case 'invalid_union':
      return explainUnion(issue.errors, path, values, jsonSchema);
    case 'invalid_key':
      return issue.issues.flatMap((inner) => explain({ ...inner, path: [] }, path, values, jsonSchema));
    case 'invalid_value':
      return [{ path, message: wrongWord(describe(value), value, issue.values.map(String)) }];
    default:
      return [{ path, message: `${describe(value)}; ${expectation(issue, schemaAt(jsonSchema, path))}` }];
  }
}

/** A value that fits none of several forms: report the problems of the nearest form. */
function explainUnion(
  branches: readonly (readonly z.core.$ZodIssue[])[],
  path: Path,
  values: unknown,
  jsonSchema: JsonSchema,
): Problem[] {
  const value = valueAt(values, path);
  const describe = isSecretPlace(path) ? describeKind : describeValue;
  const near = branches.filter((issues) => !isOfOtherType(issues)).sort((a, b) => weight(a) - weight(b))[0];
  if (near !== undefined) return near.flatMap((issue) => explain(issue, path, values, jsonSchema));
  const wanted = [...new Set(branches.flat().flatMap(formsIn))];
  const hint = shortHint(schemaAt(jsonSchema, path).description);
  const forms = wanted.length === 0 ? 'write another value' : `write ${orList(wanted)}`;
  return [{ path, message: `${describe(value)}; ${forms}${hint === undefined ? '' : `: ${hint}`}` }];
}

/** Of which kinds a value could have been, in words. */
function formsIn(issue: z.core.$ZodIssue): string[] {
  if (issue.code === 'invalid_union') return issue.errors.flat().flatMap(formsIn);
  return issue.code === 'invalid_type' ? [kindName(issue.expected)] : [];
}

/** Also where the form is one of several, and none of them is of this type. */
const isOfOtherType = (issues: readonly z.core.$ZodIssue[]): boolean =>
  issues.some(
    (issue) =>
      issue.path.length === 0 &&
      (issue.code === 'invalid_type' || (issue.code === 'invalid_union' && issue.errors.every(isOfOtherType))),
  );

/** Wrong keys say most clearly that another form was meant. */
const weight = (issues: readonly z.core.$ZodIssue[]): number =>
  issues.reduce((sum, issue) => sum + 1 + (issue.code === 'unrecognized_keys' ? issue.keys.length : 0), 0);

function unknownKey(key: string, path: Path, jsonSchema: JsonSchema): string {
  const known = knownKeys(jsonSchema, path);
  const meant = suggestion(key, known);
  if (meant !== '') return `no such setting${meant}`;
  return known.length > 0 ? `no such setting; known here: ${known.join(', ')}` : 'no such setting';
}

function wrongWord(described: string, value: unknown, words: readonly string[]): string {
  const meant = typeof value === 'string' ? nearest(value, words) : undefined;
  return `${described}; ${meant === undefined ? '' : `did you mean ${meant}? `}write ${orList(words)}`;
}

function expectation(issue: z.core.$ZodIssue, at: JsonSchema): string {
  if (issue.code === 'too_small')
    return `write ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}`;
  if (issue.code === 'too_big') return `write ${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}`;
  const kind = 'expected' in issue ? kindName(String(issue.expected)) : 'another value';
  const hint = shortHint(at.description);
  return hint === undefined ? `write ${kind}` : `write ${kind}: ${hint}`;
}

/** A longer description is for the pages: of it, the first sentence says what the setting is. */
const HINT_CHARACTERS_MAX = 300;
function shortHint(description: string | undefined): string | undefined {
  if (description === undefined || description.length <= HINT_CHARACTERS_MAX) return description;
  return description.slice(0, description.indexOf('. ') + 1) || description;
}

const KINDS: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'settings of the form `key: value`',
  record: 'settings of the form `key: value`',
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
};
const kindName = (kind: string): string => KINDS[kind] ?? kind;

/** A password that was written straight into the file looks like nothing in particular. */
const isSecretPlace = ([first, second]: Path): boolean =>
  first === 'credentials' || (first === 'clients' && second === 'users');

export function describeValue(value: unknown): string {
  if (typeof value === 'string') return `is ${quoted(value)}`;
  return typeof value === 'number' || typeof value === 'boolean' ? `is ${value}` : describeKind(value);
}

function describeKind(value: unknown): string {
  if (value === undefined) return 'is missing';
  if (value === null) return 'is empty';
  if (Array.isArray(value)) return 'is a list';
  if (isRecord(value)) return 'has settings under it';
  return `is a ${typeof value === 'string' ? 'text' : typeof value}`;
}

function orList(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? 'something else') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

function plainPath(path: readonly PropertyKey[]): Path {
  return path.map((part) => (typeof part === 'number' ? part : String(part)));
}

/** Maps and lists alike: every value that has keys. */
export function isRecord(value: unknown): value is Record<string | number, unknown> {
  return typeof value === 'object' && value !== null;
}

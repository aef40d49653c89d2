/**
 * Writes src/native/abi.ts, the constants and codes that the addon and TypeScript share, from native/abi.h.
 *
 *   node scripts/native-abi.ts [--check]     --check only compares, and fails when the file is out of date
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { ROOT } from './tools.ts';

const HEADER = 'native/abi.h';
const TARGET = 'src/native/abi.ts';
const NOTE = `/** Generated from ${HEADER} by \`node scripts/native-abi.ts\`; \`npm run check\` fails when it is out of date. */`;

const COMMENT = /(?<comment>\/\*\*(?:[^*]|\*(?!\/))*\*\/\s*)?/.source;
const CONSTANT = new RegExp(`${COMMENT}constexpr \\w+ k(?<name>\\w+) = (?<value>[^;]+);`, 'y');
const ENUM = new RegExp(`${COMMENT}enum class (?<name>\\w+) : int32_t \\{(?<body>[^}]*)\\};`, 'y');
const MEMBER = new RegExp(`\\s*${COMMENT}(?<name>\\w+) = (?<value>\\d+),`, 'y');

/** The TypeScript of a header. Throws at the first declaration that it does not understand. */
export function abiOf(header: string): string {
  const known = new Map<string, number>();
  const start = /^namespace viaduct \{$/m.exec(header);
  const end = header.lastIndexOf('}  // namespace viaduct');
  if (start === null || end < 0) throw new Error(`${HEADER} has no namespace viaduct`);
  const parts: string[] = [NOTE];
  for (let at = skipSpace(header, start.index + start[0].length); at < end; at = skipSpace(header, at)) {
    const constant = matchAt(CONSTANT, header, at);
    const found = constant ?? matchAt(ENUM, header, at);
    if (found === undefined) throw new Error(`${HEADER}: cannot read "${header.slice(at, at + 60)}"`);
    parts.push(found === constant ? constantOf(found, known) : enumOf(found));
    at += found.length;
  }
  return `${parts.join('\n')}\n`;
}

interface Found {
  readonly length: number;
  readonly groups: Readonly<Record<string, string | undefined>>;
}

function matchAt(pattern: RegExp, text: string, at: number): Found | undefined {
  pattern.lastIndex = at;
  const match = pattern.exec(text);
  return match === null ? undefined : { length: match[0].length, groups: match.groups ?? {} };
}

function skipSpace(text: string, from: number): number {
  const next = text.slice(from).search(/\S/);
  return next < 0 ? text.length : from + next;
}

function constantOf({ groups: { comment = '', name = '', value = '' } }: Found, known: Map<string, number>): string {
  const number = numberOf(value, known);
  known.set(`k${name}`, number);
  return `${comment}export const ${shouted(name)} = ${number.toString().replace(/\B(?=(\d{3})+$)/g, '_')};`;
}

/** A number, a constant that stands above, or one of the two shifted by the other. */
function numberOf(text: string, known: ReadonlyMap<string, number>): number {
  const [first = Number.NaN, bits = 0] = text.split('<<').map((term) => {
    const word = term.trim();
    return known.get(word) ?? (/^[\d']+$/.test(word) ? Number(word.replaceAll("'", '')) : Number.NaN);
  });
  const value = first << bits;
  if (Number.isNaN(first) || Number.isNaN(bits)) throw new Error(`${HEADER}: "${text}" is not a number`);
  return value;
}

function enumOf({ groups: { comment = '', name = '', body = '' } }: Found): string {
  const members: string[] = [];
  let at = 0;
  while (body.slice(at).trim() !== '') {
    const member = matchAt(MEMBER, body, at);
    if (member === undefined) throw new Error(`${HEADER}: cannot read "${body.slice(at).trim()}" of ${name}`);
    const { comment: about = '', name: key = '', value = '' } = member.groups;
    // A comment brings the line break and the indentation behind it.
    members.push(`  ${about}${camel(key)}: ${value},`);
    at += member.length;
  }
  return `${comment}export const ${shouted(name)}S = {\n${members.join('\n')}\n} as const;`;
}

/** `SocketsMax` as `SOCKETS_MAX`. */
const shouted = (name: string): string => name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase();

const camel = (name: string): string => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

function main(mode: 'check' | 'write'): number {
  const text = abiOf(readFileSync(ROOT + HEADER, 'utf8'));
  if (mode === 'write') writeFileSync(ROOT + TARGET, text);
  else if (readFileSync(ROOT + TARGET, 'utf8') !== text) {
    process.stderr.write(`${TARGET} is out of date: node scripts/native-abi.ts\n`);
    return 1;
  }
  return 0;
}

if (import.meta.main) process.exitCode = main(process.argv.includes('--check') ? 'check' : 'write');

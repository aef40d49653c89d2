/** What a plain scalar of YAML may be besides a text begins so (YAML 1.2.2 §10.3.2). */
const MAY_BE_OTHER = /^[-+.\d~nNtTfF]/;
const NULL = /^(?:~|[Nn]ull|NULL)$/;
const TRUE = /^(?:[Tt]rue|TRUE)$/;
const FALSE = /^(?:[Ff]alse|FALSE)$/;
const NUMBER = /^[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?$/;
/** Octal and hexadecimal numbers, infinities, and what is not a number. */
const ODD_NUMBER = /^(?:0[ox][\da-fA-F]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/;

/** The value of a plain scalar; `undefined` for one that no configuration needs. */
export function plainScalar(text: string): string | number | boolean | null | undefined {
  if (!MAY_BE_OTHER.test(text)) return text;
  if (NUMBER.test(text)) return Number(text);
  if (NULL.test(text)) return null;
  if (TRUE.test(text)) return true;
  if (FALSE.test(text)) return false;
  return ODD_NUMBER.test(text) ? undefined : text;
}

/** Between brackets and braces a scalar ends at more characters. */
export type Context = 'block' | 'flow';

const FLOW_INDICATORS = ',[]{}';
/** A scalar that begins with one of these is not a plain one. */
const INDICATORS = ',[]{}#&*!|>\'"%@`?:- ';
const [LINE_END, SPACE, HASH, COLON] = [0x0a, 0x20, 0x23, 0x3a];

/**
 * Where the plain scalar at `from` ends: behind its last character before a comment, the colon of a key, the end of the
 * line, or in a flow collection what ends an item. `undefined`: none begins there.
 */
export function endOfPlain(text: string, from: number, context: Context): number | undefined {
  const first = text[from];
  if (first === undefined || first === '\n') return undefined;
  // A dash with something behind it begins a text or a number.
  const isMinus = first === '-' && /[\w.]/.test(text[from + 1] ?? '');
  if (INDICATORS.includes(first) && !isMinus) return undefined;
  let at = from + 1;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === LINE_END || (code === HASH && text.charCodeAt(at - 1) === SPACE)) break;
    if (code === COLON && endsKey(text[at + 1], context)) break;
    if (context === 'flow' && FLOW_INDICATORS.includes(text.charAt(at))) break;
  }
  while (text.charCodeAt(at - 1) === SPACE) at--;
  return at;
}

/** Whether a colon with this behind it ends a plain scalar. */
function endsKey(next: string | undefined, context: Context): boolean {
  if (next === ' ' || next === '\n' || next === undefined) return true;
  return context === 'flow' && FLOW_INDICATORS.includes(next);
}

/** Behind the closing quote of the scalar at `from`; `undefined` where it does not end in the same line. */
export function endOfQuoted(text: string, from: number): number | undefined {
  const quote = text.charAt(from);
  let end = from;
  do end = text.indexOf(quote, end + 1);
  while (end >= 0 && quote === '"' && isEscaped(text, end));
  if (quote === "'") while (end >= 0 && text[end + 1] === "'") end = text.indexOf("'", end + 2);
  return end < 0 || text.slice(from, end).includes('\n') ? undefined : end + 1;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text[at - 1 - backslashes] === '\\') backslashes++;
  return backslashes % 2 === 1;
}

/** What a quoted scalar says; `undefined` for escapes that JSON has not. */
export function unquoted(scalar: string): string | undefined {
  const inner = scalar.slice(1, -1);
  if (scalar.startsWith("'")) return inner.replaceAll("''", "'");
  if (!inner.includes('\\')) return inner;
  try {
    return String(JSON.parse(scalar));
  } catch {
    return undefined;
  }
}

import type { Tools } from './tools.ts';

/**
 * `shExpMatch`. Browsers turn the pattern into a regular expression and escape nothing but the dot, so `(a|b)` and `[0-9]`
 * work, `+` repeats, and a lone `)` throws. A pattern of letters, `*` and `?` alone, which is nearly every one, is matched
 * here without one: `*a*a*a*a*b` would take a regular expression longer than anybody waits.
 */
export function installGlob({ define }: Tools): void {
  /** Patterns that are kept: a script may build them from what it is asked about. */
  const patternsMax = 1000;
  const known = new Map<string, (text: string) => boolean>();

  const expression = (pattern: string): RegExp =>
    new RegExp(`^${pattern.replace(/\./g, '\\.').replace(/\*/g, '.*').replace(/\?/g, '.')}$`);

  /** Whether `part`, in which `?` is any character, stands at `at`. */
  const stands = (part: string, text: string, at: number): boolean => {
    for (let i = 0; i < part.length; i++) {
      const code = part.charCodeAt(i);
      if (code !== 63 && code !== text.charCodeAt(at + i)) return false;
    }
    return true;
  };
  const find = (part: string, text: string, from: number, end: number): number => {
    for (let at = from; at + part.length <= end; at++) if (stands(part, text, at)) return at;
    return -1;
  };

  /** The first part stands at the beginning, the last one at the end, the others in order between them. */
  const matchParts = (parts: readonly string[], text: string): boolean => {
    const first = parts[0] ?? '';
    const last = parts[parts.length - 1] ?? '';
    if (parts.length === 1) return text.length === first.length && stands(first, text, 0);
    const end = text.length - last.length;
    if (end < first.length || !stands(last, text, end) || !stands(first, text, 0)) return false;
    let from = first.length;
    for (let i = 1; i < parts.length - 1; i++) {
      const part = parts[i] ?? '';
      const at = part.includes('?') ? find(part, text, from, end) : text.indexOf(part, from);
      if (at < 0 || at + part.length > end) return false;
      from = at + part.length;
    }
    return true;
  };

  /** The two forms that most files consist of, in native calls. */
  const compileSimple = (parts: readonly string[]): ((text: string) => boolean) | undefined => {
    const [first = '', second = '', third] = parts;
    if (parts.length === 2) {
      const length = first.length + second.length;
      return (text) => text.length >= length && text.endsWith(second) && text.startsWith(first);
    }
    return parts.length === 3 && first === '' && third === '' ? (text) => text.includes(second) : undefined;
  };

  const compile = (pattern: string): ((text: string) => boolean) => {
    if (/[\\^$+()[\]{}|]/.test(pattern)) {
      const regular = expression(pattern);
      return (text) => regular.test(text);
    }
    if (!/[*?]/.test(pattern)) return (text) => text === pattern;
    const parts = pattern.split('*');
    const matches = (pattern.includes('?') ? undefined : compileSimple(parts)) ?? ((text) => matchParts(parts, text));
    // In a regular expression `.` is no line break. No URL holds one, but a script may ask about any text.
    return (text) => matches(text) && (!/[\n\r\u2028\u2029]/.test(text) || expression(pattern).test(text));
  };

  define(
    'shExpMatch',
    (text: unknown, pattern: unknown) => {
      if (typeof pattern !== 'string') throw new TypeError('shExpMatch: the pattern is no string');
      let matches = known.get(pattern);
      if (matches === undefined) {
        if (known.size >= patternsMax) known.clear();
        matches = compile(pattern);
        known.set(pattern, matches);
      }
      return matches(typeof text === 'string' ? text : `${text}`);
    },
    'when all calls are',
  );
}

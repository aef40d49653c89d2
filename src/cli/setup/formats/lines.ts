import { endedLine, type Format, FormatError, type Key, lineEndOf, spliced } from './format.ts';

/** How a line sets a key. */
interface LineStyle {
  readonly name: string;
  /** The key that a line sets, and where in the line its value begins; `undefined`: it sets none. */
  setting(line: string): { readonly key: string; readonly valueAt: number } | undefined;
  line(key: string, value: string): string;
  /** Two keys with the same text are the same. */
  normal?(key: string): string;
  /** The section that a line begins, and where in the line what follows it begins; absent: files have no sections. */
  header?(line: string): { readonly section: string; readonly restAt: number } | undefined;
  headerLine?(section: string): string;
  /** A text as long as the given one, without what only looks like lines that set keys. */
  mask?(text: string): string;
  /** Whether `next` belongs to the value of `line`. */
  goesOn?(line: string, next: string): boolean;
}

interface FoundValue {
  /** Offsets of the value and of its whole lines. */
  readonly valueFrom: number;
  readonly valueTo: number;
  readonly linesFrom: number;
  readonly linesTo: number;
}

interface Scan {
  /** The last one that sets the key: it is in force. */
  readonly found: FoundValue | undefined;
  /** Behind the last line of the section that is not blank; `undefined`: there is no such section. */
  readonly sectionTo: number | undefined;
  readonly sectionFrom: number | undefined;
  /** Whether something but the key stands in the section. */
  readonly hasMore: boolean;
}

/** A format of lines: `[name]`, or `[section, name]` where it has sections. */
export function linesFormat(style: LineStyle): Format {
  const scan = (text: string, key: Key): Scan => scanLines(style, text, key);
  return {
    name: style.name,
    read(text, key) {
      const { found } = scan(text, key);
      return found && text.slice(found.valueFrom, found.valueTo);
    },
    write(text, key, value) {
      const { found, sectionTo } = scan(text, key);
      if (found !== undefined) return spliced(text, found.valueFrom, found.valueTo, value);
      const end = lineEndOf(text);
      const line = `${style.line(key.at(-1) ?? '', value)}`;
      if (sectionTo !== undefined) {
        const before = text.slice(0, sectionTo);
        const isEnded = before === '' || before.endsWith('\n');
        return isEnded
          ? `${before}${line}${end}${text.slice(sectionTo)}`
          : `${before}${end}${line}${text.slice(sectionTo)}`;
      }
      const header = style.headerLine?.(key[0] ?? '') ?? '';
      return `${endedLine(text)}${header}${end}${line}${end}`;
    },
    remove(text, key) {
      const { found, sectionFrom, sectionTo, hasMore } = scan(text, key);
      if (found === undefined) return text;
      const isAlone = key.length > 1 && !hasMore && sectionFrom !== undefined && sectionTo !== undefined;
      return isAlone ? spliced(text, sectionFrom, sectionTo, '') : spliced(text, found.linesFrom, found.linesTo, '');
    },
  };
}

function scanLines(style: LineStyle, text: string, key: Key): Scan {
  const normal = style.normal ?? ((one: string) => one);
  const wantedSection = key.length > 1 ? normal(key[0] ?? '') : undefined;
  const wanted = normal(key.at(-1) ?? '');
  let inSection = wantedSection === undefined;
  let found: FoundValue | undefined;
  let sectionFrom: number | undefined;
  // Lines without a section stand before the first one.
  let sectionTo: number | undefined = wantedSection === undefined ? 0 : undefined;
  let hasMore = false;
  const lines = (style.mask?.(text) ?? text).split(/(?<=\n)/);
  let at = 0;
  for (let index = 0; index < lines.length; index++) {
    const whole = lines[index] ?? '';
    const line = whole.replace(/\r?\n$/, '');
    const header = style.header?.(line);
    // Another program would refuse the whole file, or read it otherwise.
    if (header === undefined && style.header !== undefined && /^\s*\[/.test(line))
      throw new FormatError(`it is not valid (line ${index + 1}: a section without its closing bracket)`);
    if (header !== undefined) {
      inSection = normal(header.section) === wantedSection;
      if (inSection) {
        sectionFrom ??= at;
        sectionTo = at + whole.length;
      }
    }
    const restAt = header?.restAt ?? 0;
    const setting = style.setting(line.slice(restAt));
    let [to, last] = [at + line.length, at + whole.length];
    while (setting !== undefined && index + 1 < lines.length) {
      const [now = '', next = ''] = [lines[index], lines[index + 1]?.replace(/\r?\n$/, '')];
      if (style.goesOn?.(now.replace(/\r?\n$/, ''), next) !== true) break;
      index++;
      to = last + next.length;
      last += lines[index]?.length ?? 0;
    }
    if (inSection && line.trim() !== '' && header === undefined) sectionTo = last;
    if (inSection && setting !== undefined && normal(setting.key) === wanted) {
      hasMore ||= found !== undefined;
      found = {
        valueFrom: at + restAt + setting.valueAt,
        valueTo: to,
        linesFrom: at + restAt,
        linesTo: restAt > 0 ? to : last,
      };
    } else if (inSection && line.slice(restAt).trim() !== '') hasMore = true;
    at = last;
  }
  return { found, sectionFrom, sectionTo, hasMore };
}

const by =
  (pattern: RegExp): LineStyle['setting'] =>
  (line) => {
    const match = pattern.exec(line);
    return match === null ? undefined : { key: match[2] ?? '', valueAt: match[1]?.length ?? 0 };
  };

/** Git configuration (git-config(1)). A subsection is a part of the name: `http "https://host/"`. */
export const GIT_CONFIG: Format = linesFormat({
  name: 'git',
  setting: by(/^(\s*([A-Za-z][\w-]*)\s*=\s*)/),
  line: (key, value) => `\t${key} = ${value}`,
  normal: (key) => key.toLowerCase(),
  header(line) {
    const match = /^\s*\[([^\]"]*(?:"(?:[^"\\]|\\.)*")?)\s*\]/.exec(line);
    return match === null ? undefined : { section: match[1] ?? '', restAt: match[0].length };
  },
  headerLine: (section) => `[${section}]`,
  goesOn: (line) => /(?:^|[^\\])(?:\\\\)*\\$/.test(line),
});

/** What stands behind the last bracket is no part of it. KDE has groups in groups: `[A][B]`. */
const iniHeader = (line: string) => {
  const match = /^\s*\[(.+)\]/.exec(line);
  return match === null ? undefined : { section: match[1] ?? '', restAt: line.length };
};

/** Python's configparser, which pip and dnf read: indented lines go on with the value before. */
export const INI: Format = linesFormat({
  name: 'ini',
  setting: by(/^(([^\s#;=:[][^=:]*?)\s*[=:]\s*)/),
  line: (key, value) => `${key} = ${value}`,
  normal: (key) => key.toLowerCase(),
  header: iniHeader,
  headerLine: (section) => `[${section}]`,
  goesOn: (_, next) => /^\s+\S/.test(next),
});

/** KDE's configuration. */
export const KCONFIG: Format = linesFormat({
  name: 'kconfig',
  setting: by(/^(([^\s#=[][^=[]*?)(?:\[[^\]]*\])*\s*=\s*)/),
  line: (key, value) => `${key}=${value}`,
  header: iniHeader,
  headerLine: (section) => `[${section}]`,
});

/** `.npmrc`: keys of the user stand before any section. */
export const NPMRC: Format = linesFormat({
  name: 'npmrc',
  setting: by(/^(\s*([^\s#;=[][^=]*?)\s*=\s*)/),
  line: (key, value) => `${key}=${value}`,
  header: iniHeader,
});

/** `.wgetrc`: `-` and `_` in names, and capitals, make no difference. */
export const WGETRC: Format = linesFormat({
  name: 'wgetrc',
  setting: by(/^(\s*([A-Za-z][\w-]*)\s*=\s*)/),
  line: (key, value) => `${key} = ${value}`,
  normal: (key) => key.toLowerCase().replace(/[-_]/g, ''),
});

/** `.curlrc`: with or without dashes, and with `=`, `:` or a space before the value. */
export const CURLRC: Format = linesFormat({
  name: 'curlrc',
  setting: by(/^(\s*(?:--)?([a-z][\w-]*)(?:\s*[=:]\s*|\s+))/),
  line: (key, value) => `${key} = ${value}`,
});

/** `.yarnrc` of Yarn 1. */
export const YARNRC: Format = linesFormat({
  name: 'yarnrc',
  setting: by(/^(\s*"?([A-Za-z][\w.-]*)"?\s+)/),
  line: (key, value) => `${key} ${value}`,
});

/** Java's properties. */
export const PROPERTIES: Format = linesFormat({
  name: 'properties',
  setting: by(/^(\s*([^\s#!=:]+)\s*[=:]?\s*)/),
  line: (key, value) => `${key}=${value}`,
  goesOn: (line) => /(?:^|[^\\])(?:\\\\)*\\$/.test(line),
});

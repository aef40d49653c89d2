import { redact } from '../../util/redact.ts';
import type { Compared } from './plan.ts';

/** A text of a configuration file or of a tool as it may be printed: logins in URLs are left out. */
export const withoutLogins = (text: string): string =>
  text.replace(/[a-z][a-z0-9+.-]*:\/\/[^\s"'<>/]*@[^\s"'<>]*/gi, (url) => redact(url));

/** Where a setting stands. */
export const placeOfSetting = ({ setting }: Compared): string =>
  setting.kind === 'file' ? setting.path : `${setting.program.name} ${setting.key.slice(0, 2).join(' ')}`;

/** What a change takes away and adds, as a diff has it. */
export function changeLines({ setting, before }: Compared): readonly string[] {
  const name = setting.kind === 'file' && setting.key.length > 0 ? `${setting.key.join(' ')} = ` : '';
  const marked = (mark: string, text: string) =>
    withoutLogins(text)
      .trimEnd()
      .split('\n')
      .map((line, at) => `${mark} ${at === 0 ? name : ''}${line}`);
  return [...(before === undefined ? [] : marked('-', before)), ...marked('+', setting.value)];
}

/** `~` for the home. */
export const shortPath = (path: string, home: string): string =>
  path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path;

/** Columns as wide as their widest cell; the last is as long as it is. */
export function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

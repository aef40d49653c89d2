/** Where a value stands in a file: the names from the outside in. */
export type Key = readonly string[];

/**
 * How values stand in a kind of text file. A value is the text that stands in the file, with its quotation marks, so that it
 * can be put back as it was. Everything else in the file stays as it is. All throw FormatError.
 */
export interface Format {
  /** Written down in the journal. */
  readonly name: string;
  /** `undefined`: the key is not set. */
  read(text: string, key: Key): string | undefined;
  write(text: string, key: Key, value: string): string;
  /** Removes the key, and what held nothing but it. */
  remove(text: string, key: Key): string;
}

/** A file that cannot be edited. The message is a sentence without the path: "it is not valid JSON (line 3)". */
export class FormatError extends Error {
  override readonly name = 'FormatError';
}

/** The line ends of a text: those of its first line, `\n` where there is none. */
export const lineEndOf = (text: string): string => (/^[^\n]*\r\n/.test(text) ? '\r\n' : '\n');

/** With a line end behind it, so that another line may follow. */
export const endedLine = (text: string): string =>
  text === '' || text.endsWith('\n') ? text : `${text}${lineEndOf(text)}`;

/** A text without what stands at `from` up to `to`, and with `by` there. */
export const spliced = (text: string, from: number, to: number, by: string): string =>
  text.slice(0, from) + by + text.slice(to);

/** The number of the line at an offset, from 1. */
export const lineAt = (text: string, offset: number): number => text.slice(0, offset).split('\n').length;

export const WRITTEN_OTHERWISE = 'what it says about the proxy is written in a form that setup does not edit';

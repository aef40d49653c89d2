import { isIPv6 } from 'node:net';

/** Stands where a secret was, or may have been. */
const MASK = '•••';
const CHARACTERS_MAX = 200;
/** A longer text is neither a URL, a name nor a path, and a password could be anywhere in it. */
const READ_CHARACTERS_MAX = 2048;

const SCHEME = /^[a-z][a-z0-9+.-]*:[/\\]{2}/i;
/** Words of our own grammar before a colon; what follows is looked at again. */
const OWN_WORD = /^(?:file|unix|env):/i;
const DRIVE = /^[a-z]:[/\\]/i;
const IS_PATH = /^(?:\.{0,2}[/\\]|[a-z]:[/\\])/i;
/** A port, the minutes of a time of day, or a single letter, which is a typo and not a password. */
const HARMLESS_BEHIND_COLON = /^:(?:\d{1,5}(?!\w)|\w?$)/;

/**
 * A text that a user typed, as it may be repeated on a terminal, in a log and in an error. What may be a password or a
 * token is left out, also where the text has none of the forms that are known here: what stands before an `@`, what
 * stands behind a colon and is not a port, and queries and fragments. Messages and output that repeat settings, flags,
 * variables and URLs pass them through here.
 */
export function redact(text: string): string {
  return mask(text, () => MASK);
}

/** As `redact`, with the name of a user whose password is left out. For settings that the user asks to see. */
export function redactKeepingUser(text: string): string {
  return mask(text, (userinfo) => {
    const colon = userinfo.indexOf(':');
    // Alone it may be a token.
    return colon < 0 ? MASK : `${userinfo.slice(0, colon)}:${MASK}`;
  });
}

/** `redact` between quotation marks. */
export const quoted = (text: string): string => JSON.stringify(redact(text));

/** Redacts lines that may hold a text which the user typed, such as the URL of the command. */
export function redactorOf(text: string): (line: string) => string {
  const redacted = redact(text);
  if (redacted === text.trim()) return (line) => line;
  const inJson = JSON.stringify(text).slice(1, -1);
  return (line) => line.replaceAll(text, redacted).replaceAll(inJson, redacted);
}

function mask(typed: string, userOf: (userinfo: string) => string): string {
  const text = typed.trim();
  if (/^data:/i.test(text)) return 'data:…';
  if (text.length > READ_CHARACTERS_MAX) return `(${text.length} characters)`;
  const short = IS_PATH.test(text) ? maskPath(text) : maskLogin(text, userOf);
  return short.length > CHARACTERS_MAX ? `${short.slice(0, CHARACTERS_MAX)}…` : short;
}

/** In the folders of a path an `@` is usual: `/home/me@corp.example`. */
function maskPath(path: string): string {
  const at = Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1;
  const [folder, name] = [path.slice(0, at), path.slice(at)];
  const drive = DRIVE.exec(folder)?.[0] ?? '';
  const shownFolder = drive + maskPassword(folder.slice(drive.length));
  // Then the rest of the path is part of what may be a password.
  return shownFolder.endsWith(MASK) ? shownFolder : shownFolder + maskLogin(name, () => MASK);
}

function maskLogin(text: string, userOf: (userinfo: string) => string): string {
  const scheme = SCHEME.exec(text)?.[0] ?? '';
  const rest = text.slice(scheme.length);
  // Where all before it is in order, a question mark begins a query, and an `@` behind it is part of that.
  const behind = rest.search(/[?#]/);
  const before = behind < 0 ? rest : rest.slice(0, behind);
  if (behind >= 0 && !before.includes('@') && maskPassword(before) === before) {
    // `we?rd` is a typo, not a URL.
    if (scheme === '' && !/[/=]/.test(rest) && !rest.includes('@')) return text;
    return `${scheme}${before}${rest.charAt(behind)}${MASK}`;
  }
  const at = rest.lastIndexOf('@');
  if (at < 0) return scheme + maskPassword(before);
  return `${scheme}${userOf(rest.slice(0, at))}@${maskLogin(rest.slice(at + 1), () => MASK)}`;
}

/** `me:secret`, where the host is missing or not valid: from the first colon that no port follows. */
function maskPassword(text: string): string {
  const word = OWN_WORD.exec(text)?.[0] ?? '';
  const rest = text.slice(word.length);
  for (let at = rest.indexOf(':'); at >= 0; at = rest.indexOf(':', at + 1)) {
    if (HARMLESS_BEHIND_COLON.test(rest.slice(at)) || isInAddress(rest, at)) continue;
    return `${word}${rest.slice(0, at)}:${MASK}`;
  }
  return text;
}

/** Whether a colon is one of an IPv6 address, alone, in brackets, or with a length or a zone behind it. */
function isInAddress(text: string, at: number): boolean {
  const bracket = text.lastIndexOf('[', at);
  const end = bracket < 0 ? -1 : text.indexOf(']', bracket);
  if (end > at) return isIPv6(text.slice(bracket + 1, end));
  return isIPv6(text.replace(/\/\d{1,3}$/, ''));
}

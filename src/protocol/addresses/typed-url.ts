/**
 * A URL as people type it: `example.org/path` and `localhost:3128` have no scheme, and `//host` means the usual one. A
 * path alone stays as it is; it is not a URL.
 */
export function withScheme(text: string, scheme: string): string {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return text;
  if (/^\/(?!\/)/.test(text)) return text;
  return text.startsWith('//') ? `${scheme}:${text}` : `${scheme}://${text}`;
}

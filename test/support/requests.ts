/** A CONNECT of `authority` (host:port), complete; `fields` are whole field lines. */
export const connectTo = (authority: string, ...fields: readonly string[]): string =>
  `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`;

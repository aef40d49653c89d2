/** What speaks a client whose first byte begins no method, at a port for HTTP; for the log. */
export function otherProtocol(first: number): string {
  switch (first) {
    case 0x04:
      return `a SOCKS4 client at a listener for HTTP; ${MEND}`;
    case 0x05:
      return `a SOCKS5 client at a listener for HTTP; ${MEND}`;
    case 0x16:
      return 'a TLS client at a listener for plain HTTP; write http:// for this proxy in its settings, not https://';
    default:
      return 'no request begins like this';
  }
}

const MEND =
  'set this proxy as an HTTP proxy there (http://HOST:PORT), or write socks5:// or any:// in `listen` for SOCKS clients';

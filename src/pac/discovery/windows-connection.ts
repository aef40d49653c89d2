/** Settings of a connection of Windows, as one binary value of the registry holds them. */
export interface Connection {
  /** "Automatically detect settings" is a bit of this value, and nowhere else. */
  readonly detects: boolean;
  /** Of the PAC; empty: none is used. */
  readonly url: string;
  /** As `ProxyServer` and `ProxyOverride`; empty: none are used. */
  readonly servers: string;
  readonly except: string;
}

const PROXY = 0x02;
const PAC = 0x04;
const DETECT = 0x08;
/** Behind a version and a counter. */
const FLAGS_AT = 8;
/** Each text behind its length: proxies, exceptions, PAC. */
const TEXTS_AT = 12;

/**
 * `DefaultConnectionSettings` (WinINET) or `WinHttpSettings`, in hexadecimal digits; `undefined` where it has no flags. Microsoft
 * documents the interfaces that write it, not its bytes; Wine's winhttp reads the same ones.
 */
export function connectionIn(hex: string | undefined): Connection | undefined {
  const bytes = Buffer.from(hex ?? '', 'hex');
  if (bytes.length < TEXTS_AT) return undefined;
  const flags = bytes.readUInt32LE(FLAGS_AT);
  const [servers = '', except = '', url = ''] = textsFrom(bytes, TEXTS_AT);
  const isProxied = (flags & PROXY) !== 0;
  return {
    detects: (flags & DETECT) !== 0,
    url: (flags & PAC) === 0 ? '' : url,
    servers: isProxied ? servers : '',
    except: isProxied ? except : '',
  };
}

/** Stops at the first text that does not end inside: what follows it cannot be found. */
function textsFrom(bytes: Buffer, start: number): string[] {
  const texts: string[] = [];
  for (let at = start; at + 4 <= bytes.length; ) {
    const end = at + 4 + bytes.readUInt32LE(at);
    if (end > bytes.length) break;
    texts.push(bytes.toString('latin1', at + 4, end));
    at = end;
  }
  return texts;
}

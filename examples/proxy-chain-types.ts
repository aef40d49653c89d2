/** What examples/proxy-chain.ts takes and returns: the names are those of proxy-chain. */
import type { Server as HttpServer } from 'node:http';
import type { RequestContext } from 'viaduct';

/** What proxy-chain hands over as an `http.IncomingMessage`: the fields that programs read of it. */
export function requestOf({ method, url, target, headers, client }: RequestContext) {
  const authority = `${target.host.includes(':') ? `[${target.host}]` : target.host}:${target.port}`;
  return {
    method,
    url: url ?? authority,
    headers: Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value])),
    rawHeaders: headers.flat(),
    socket: { remoteAddress: client.address, remotePort: client.port },
  };
}

export interface CustomResponse {
  readonly statusCode?: number;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
}
export interface PrepareRequestOptions {
  readonly connectionId: number;
  readonly request: ReturnType<typeof requestOf>;
  readonly username: string;
  readonly password: string;
  readonly hostname: string;
  readonly port: number;
  readonly isHttp: boolean;
}
export interface PrepareRequestResult {
  readonly requestAuthentication?: boolean;
  readonly failMsg?: string;
  readonly upstreamProxyUrl?: string | null;
  readonly ignoreUpstreamProxyCertificate?: boolean;
  readonly localAddress?: string;
  readonly ipFamily?: 4 | 6;
  readonly dnsLookup?: (host: string, options: object, done: (error: Error | null, address: string) => void) => void;
  readonly customTag?: unknown;
  readonly customResponseFunction?: () => CustomResponse | Promise<CustomResponse>;
  readonly customConnectServer?: HttpServer | null;
}
export interface ServerOptions {
  readonly port?: number;
  readonly host?: string;
  readonly authRealm?: string;
  readonly verbose?: boolean;
  readonly serverType?: 'http' | 'https';
  /** A key and a certificate, as PEM. */
  readonly httpsOptions?: { readonly key: string | Buffer; readonly cert: string | Buffer };
  readonly prepareRequestFunction?: (
    options: PrepareRequestOptions,
  ) => PrepareRequestResult | undefined | Promise<PrepareRequestResult | undefined>;
}
export interface ConnectionStats {
  srcTxBytes: number;
  srcRxBytes: number;
  trgTxBytes: number | null;
  trgRxBytes: number | null;
}

/** A refusal with a status and a text of the program's own. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly statusCode: number;
  readonly headers: Record<string, string> | undefined;

  constructor(message: string, statusCode: number, headers?: Record<string, string>) {
    super(message);
    this.statusCode = statusCode;
    this.headers = headers;
  }
}

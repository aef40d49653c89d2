import type { X509Certificate } from 'node:crypto';
import { type IncomingMessage, request } from 'node:http';
import { request as requestTls } from 'node:https';
import type { Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { FAILURES, type FailureCode } from '../../contracts/failure.ts';

/** What became of one request through a proxy. */
export type Probe =
  /** The website has responded. `chain`: its certificates, its own first; empty without TLS. */
  | {
      readonly kind: 'answered';
      readonly status: number | undefined;
      readonly ms: number;
      /** The clock of the server minus ours; `undefined`: it did not say. */
      readonly skewMs: number | undefined;
      readonly chain: readonly X509Certificate[];
    }
  /** The proxy has refused. `code`: where it is Viaduct. */
  | { readonly kind: 'refused'; readonly status: number; readonly why: string; readonly code: FailureCode | undefined }
  | { readonly kind: 'failed'; readonly why: string };

/** Beyond this a person would have given up. */
const PROBE_MS_MAX = 20_000;
const BODY_BYTES_MAX = 2_048;

/** One request to a URL through an `http:` proxy. Never rejects. Certificates are looked at, not judged. */
export async function probeThrough(proxy: URL, url: URL): Promise<Probe> {
  const started = performance.now();
  try {
    return url.protocol === 'https:' ? await throughTunnel(proxy, url, started) : await plainly(proxy, url, started);
  } catch (error) {
    return { kind: 'failed', why: error instanceof Error ? error.message : String(error) };
  }
}

const hostOf = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '');
const portOf = (url: URL): number => Number(url.port || (url.protocol === 'https:' ? 443 : 80));

function plainly(proxy: URL, url: URL, started: number): Promise<Probe> {
  return new Promise((resolve, reject) => {
    const headers = { host: url.host, 'user-agent': 'viaduct-doctor' };
    const asked = request({ host: hostOf(proxy), port: portOf(proxy), path: url.href, headers, agent: false });
    asked.setTimeout(PROBE_MS_MAX, () => asked.destroy(new Error('the proxy does not answer')));
    asked.on('error', reject);
    asked.on('response', (response) => {
      const isRefused = /;\s*error=/.test(String(response.headers['proxy-status'] ?? ''));
      void beginning(response).then((text) => {
        const status = response.statusCode ?? 0;
        if (isRefused || status === 407) resolve(refused(status, text.replace(/\s+/g, ' ').trim()));
        else resolve({ kind: 'answered', status, ms: since(started), skewMs: skewOf(response), chain: [] });
      }, reject);
    });
    asked.end();
  });
}

async function throughTunnel(proxy: URL, url: URL, started: number): Promise<Probe> {
  const tunnel = await openTunnel(proxy, `${url.hostname}:${portOf(url)}`);
  if ('kind' in tunnel) return tunnel;
  const secure = await handshake(tunnel, hostOf(url));
  const chain = chainOf(secure);
  const response = await head(secure, url);
  const status = response?.statusCode;
  return { kind: 'answered', status, ms: since(started), skewMs: response && skewOf(response), chain };
}

function openTunnel(proxy: URL, authority: string): Promise<Socket | Probe> {
  return new Promise((resolve, reject) => {
    const headers = { host: authority, 'user-agent': 'viaduct-doctor' };
    const asked = request({
      method: 'CONNECT',
      host: hostOf(proxy),
      port: portOf(proxy),
      path: authority,
      headers,
      agent: false,
    });
    asked.setTimeout(PROBE_MS_MAX, () => asked.destroy(new Error('the proxy does not answer')));
    asked.on('error', reject);
    asked.on('connect', (response, socket) => {
      const { statusCode = 0, statusMessage = '' } = response;
      socket.on('error', () => undefined);
      if (statusCode >= 200 && statusCode < 300) return resolve(socket);
      socket.destroy();
      resolve(refused(statusCode, statusMessage));
    });
    asked.end();
  });
}

function handshake(socket: Socket, host: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    // Nothing but a HEAD without secrets is sent; who the server is, is what doctor wants to find out.
    const secure = connectTls({ socket, servername: host, rejectUnauthorized: false });
    secure.setTimeout(PROBE_MS_MAX, () => secure.destroy(new Error('the TLS handshake takes too long')));
    secure.once('secureConnect', () => resolve(secure));
    secure.once('error', reject);
  });
}

/** Up to the certificate that has signed itself, or whose issuer was not sent. */
function chainOf(secure: TLSSocket): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  let at = secure.getPeerX509Certificate();
  while (at !== undefined && !chain.some((one) => one.fingerprint256 === at?.fingerprint256)) {
    chain.push(at);
    at = at.issuerCertificate;
  }
  return chain;
}

function head(secure: TLSSocket, url: URL): Promise<IncomingMessage | undefined> {
  return new Promise((resolve) => {
    const asked = requestTls(url, { method: 'HEAD', createConnection: () => secure, agent: false });
    asked.on('error', () => resolve(undefined));
    asked.on('response', (response) => {
      response.resume();
      secure.destroy();
      resolve(response);
    });
    asked.end();
  });
}

/** The code stands first in the reason phrase of a CONNECT, and in parentheses on the page. */
function refused(status: number, why: string): Probe {
  const word = /^([a-z_]+):/.exec(why)?.[1] ?? /\(([a-z_]+)\), from the proxy/.exec(why)?.[1];
  const code = word !== undefined && isCode(word) ? word : undefined;
  return { kind: 'refused', status, why, code };
}

const isCode = (word: string): word is FailureCode => Object.hasOwn(FAILURES, word);

/** HTTP dates have whole seconds. */
function skewOf({ headers }: IncomingMessage): number | undefined {
  const server = Date.parse(headers.date ?? '');
  return Number.isNaN(server) ? undefined : server - Date.now();
}

async function beginning(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response) {
    text += String(chunk);
    if (text.length > BODY_BYTES_MAX) break;
  }
  return text.slice(0, BODY_BYTES_MAX);
}

const since = (started: number): number => Math.round(performance.now() - started);

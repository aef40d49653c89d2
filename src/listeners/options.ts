import { isIP, isIPv6 } from 'node:net';
import { z } from 'zod';
import { duration } from '../core/setting.ts';

/** One socket to accept clients on. */
export type Listen =
  | {
      readonly kind: 'tcp';
      /** A name or an address, IPv6 without brackets. */
      readonly host: string;
      /** 0 picks a free one. */
      readonly port: number;
      /** One half of `localhost`: it may fail when the other half listens, since a machine may lack a family. */
      readonly optional: boolean;
    }
  | { readonly kind: 'unix'; readonly path: string };

/** A listener as it is written, before `port` fills in what it leaves out. */
export type WrittenListen =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number | undefined }
  | { readonly kind: 'unix'; readonly path: string };

const FORMS = 'write HOST, HOST:PORT, [V6]:PORT, http://HOST:PORT or unix:/PATH';

/** `host`, `host:port`, `[v6]:port`, an IPv6 address alone, `http://…`, `unix:/path`. Throws an Error with a sentence. */
export function parseListen(text: string): WrittenListen {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    if (path === '') throw new Error(`${JSON.stringify(text)} names no path; write unix:/run/viaduct.sock`);
    return { kind: 'unix', path };
  }
  if (/^https:/i.test(text)) {
    throw new Error(`${JSON.stringify(text)}: TLS listeners are not built yet; write http:// and the address`);
  }
  const address = text.replace(/^http:\/\//i, '').replace(/\/$/, '');
  if (/^\d+$/.test(address)) throw new Error(`${JSON.stringify(text)} is a port alone; write localhost:${address}`);
  if (isIPv6(address)) return { kind: 'tcp', host: address, port: undefined };
  const match = /^(?:\[([^\]\s]+)\]|([^\s:/@?#[\]]+))(?::(\d{1,5}))?$/.exec(address);
  const bracketed = match?.[1];
  const host = bracketed ?? match?.[2];
  const port = match?.[3] === undefined ? undefined : Number(match[3]);
  if (host === undefined || (bracketed !== undefined && !isIPv6(bracketed))) {
    throw new Error(`${JSON.stringify(text)} is no address to listen on; ${FORMS}`);
  }
  if (port !== undefined && port > 65_535) throw new Error(`${port} is no port; write 0 to 65535`);
  if (host === '*') throw new Error(`"*" is no address; write 0.0.0.0, or [::] for both families`);
  return { kind: 'tcp', host: host.toLowerCase(), port };
}

/** `localhost` is both loopback addresses, whatever the resolver says: some clients try ::1 first, some know only 127.0.0.1. */
export function completeListen(written: WrittenListen, defaultPort: number): Listen[] {
  if (written.kind === 'unix') return [written];
  const port = written.port ?? defaultPort;
  if (written.host !== 'localhost') return [{ kind: 'tcp', host: written.host, port, optional: false }];
  return ['127.0.0.1', '::1'].map((host) => ({ kind: 'tcp', host, port, optional: true }));
}

/** Whether others than this machine's own users can reach a listener. A name counts as reachable: it may mean anything. */
export function isExposed(listen: Listen): boolean {
  if (listen.kind === 'unix') return false;
  const host = listen.host.replace(/^::ffff:/, '');
  if (isIP(host) === 4) return !host.startsWith('127.');
  return host !== '::1' && host !== '0:0:0:0:0:0:0:1';
}

export const listenSchema: z.ZodType<WrittenListen, string> = z
  .string({ error: `a listener is one text; ${FORMS}` })
  .transform((text, context) => {
    try {
      return parseListen(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
      return z.NEVER;
    }
  });

/** How long a client may take. */
export const clientTimeouts = {
  requestHead: duration('above-0')
    .prefault('10s')
    .describe(
      'How long a client may take between two bytes of a request head, else 408. Idle keep-alive is not counted.',
    ),
  requestBody: duration('above-0')
    .prefault('60s')
    .describe('How long a client may be silent in the middle of a request body, else 408.'),
} as const satisfies Record<string, z.ZodType<number, string | number | undefined>>;

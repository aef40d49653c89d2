import { isIPv4, isIPv6 } from 'node:net';
import * as z from 'zod';
import { addressBlock } from '../settings/address-setting.ts';
import { duration } from '../settings/duration-setting.ts';
import { listOrOne, type OneOrList } from '../settings/list-setting.ts';
import { quoted } from '../util/redact.ts';

/** The schemes of the URLs of listeners; `protocols.ts` has what serves each. */
export const LISTEN_PROTOCOLS = ['http', 'https', 'socks5', 'any'] as const;
/** What the clients of a listener speak. Tests bring protocols of their own. */
export type ListenProtocol = (typeof LISTEN_PROTOCOLS)[number] | (string & {});

/** In `proxyProtocol`: peers of a Unix socket, whom its file mode has admitted. */
export const UNIX_PEERS = 'unix';

/** A certificate and its private key, as paths of PEM files. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** Which attribute of a client's certificate is the name of its user. */
export type CertificateUser = 'cn' | 'email' | 'dns' | 'fingerprint';

/** TLS on a listener. Certificates are paths of PEM files. */
export interface ListenTls extends CertificateFiles {
  /** Further ones, for clients that ask for a name in them (SNI). */
  readonly certificates?: readonly CertificateFiles[] | undefined;
  /** Authorities that certify clients. Absent: clients are not asked for a certificate. */
  readonly clientCa?: string | undefined;
  readonly clientCert?: 'required' | 'optional' | undefined;
  /** What these authorities have revoked. */
  readonly clientCrl?: string | undefined;
  readonly user?: CertificateUser | undefined;
}

/** What is set of one listener besides its address. Each part of `clients/` that reads a setting adds it here and to LISTEN_SETTINGS. */
export interface ListenSettings {
  /** Of a listener that speaks TLS. */
  readonly tls?: ListenTls | undefined;
  /** Whether clients may begin with HTTP/2 without TLS (RFC 9113 §3.3). */
  readonly h2c?: boolean | undefined;
  /** What clients speak, of an address whose URL has no scheme for it. */
  readonly protocol?: ListenProtocol | undefined;
  /** Peers that must send a PROXY header; every other peer is closed. */
  readonly proxyProtocol?: readonly string[] | undefined;
  /** Of the file of a Unix socket: who may connect. */
  readonly mode?: number | undefined;
  /** Clients sign on with Kerberos. */
  readonly negotiate?: { readonly keytab: string; readonly realm?: string | undefined } | undefined;
  /** User or group, by name or number. */
  readonly owner?: string | undefined;
  readonly group?: string | undefined;
}

/** What makes bridges between this machine and its containers. */
export const BRIDGE_KINDS = ['docker', 'podman', 'wsl'] as const;
export type BridgeKind = (typeof BRIDGE_KINDS)[number];

/** One socket to accept clients on. */
export type SocketListen =
  | {
      readonly kind: 'tcp';
      readonly protocol: ListenProtocol;
      readonly settings?: ListenSettings | undefined;
      /** A name or an address, IPv6 without brackets. */
      readonly host: string;
      /** 0 picks a free one. */
      readonly port: number;
      /**
       * One half of `localhost`: it may fail when the other half listens, since a machine may lack a family. Or the address of a
       * bridge, which comes and goes.
       */
      readonly optional: boolean;
      /** Of a bridge: clients with other addresses are refused. */
      readonly subnet?: string;
    }
  | {
      readonly kind: 'unix';
      readonly protocol: ListenProtocol;
      readonly settings?: ListenSettings | undefined;
      readonly path: string;
    }
  /** A socket that the service manager has opened. Once it is taken over, it is one of the other two. */
  | {
      readonly kind: 'systemd';
      readonly protocol: ListenProtocol;
      readonly settings?: ListenSettings | undefined;
      /** Name (`FileDescriptorName=`) or position, counted from 0. `undefined`: there is but one. */
      readonly name: string | undefined;
    };

/** What a configuration asks for: a socket, or one for each address that this machine has on bridges of a kind. */
export type Listen =
  | SocketListen
  | {
      readonly kind: 'bridge';
      readonly protocol: ListenProtocol;
      readonly settings?: ListenSettings | undefined;
      readonly bridge: BridgeKind;
      readonly port: number;
    };

/** A listener as it is written, before `port` fills in what it leaves out. */
export type WrittenListen =
  | {
      readonly kind: 'tcp';
      readonly protocol: ListenProtocol;
      readonly settings?: ListenSettings | undefined;
      readonly host: string;
      readonly port: number | undefined;
    }
  | {
      readonly kind: 'bridge';
      readonly protocol: ListenProtocol;
      readonly settings?: ListenSettings | undefined;
      readonly bridge: BridgeKind;
      readonly port: number | undefined;
    }
  | (SocketListen & { readonly kind: 'unix' | 'systemd' });

/** Of a listener without a scheme. */
const DEFAULT_PROTOCOL: ListenProtocol = 'http';

const FORMS =
  'write HOST, HOST:PORT, [V6]:PORT, http://HOST:PORT, https://…, socks5://…, any://…, unix:/PATH, systemd, docker, podman or wsl';

/** `host`, `host:port`, `[v6]:port`, an IPv6 address alone, `http://…`, `socks5://…`, `unix:/path`, `systemd`. Throws an Error with a sentence. */
export function parseListen(text: string): WrittenListen {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    if (path === '') throw new Error(`${quoted(text)} names no path; write unix:/run/viaduct.sock`);
    return { kind: 'unix', protocol: DEFAULT_PROTOCOL, path };
  }
  const activated = /^systemd(?::(.+))?$/s.exec(text);
  if (activated !== null) return { kind: 'systemd', protocol: DEFAULT_PROTOCOL, name: activated[1] };
  const { protocol, rest } = splitScheme(text);
  const address = rest.replace(/\/$/, '');
  if (/^\d+$/.test(address)) throw new Error(`${quoted(text)} is a port alone; write localhost:${address}`);
  if (isIPv6(address)) return { kind: 'tcp', protocol, host: address, port: undefined };
  const match = /^(?:\[([^\]\s]+)\]|([^\s:/@?#[\]]+))(?::(\d{1,5}))?$/.exec(address);
  const bracketed = match?.[1];
  const host = bracketed ?? match?.[2];
  const port = match?.[3] === undefined ? undefined : Number(match[3]);
  if (host === undefined || (bracketed !== undefined && !isIPv6(bracketed))) {
    throw new Error(`${quoted(text)} is not a valid address to listen on; ${FORMS}`);
  }
  if (port !== undefined && port > 65_535) throw new Error(`${port} is not a valid port; write 0 to 65535`);
  if (host === '*') throw new Error(`"*" is not a valid address; write 0.0.0.0, or [::] for both families`);
  const bridge = BRIDGE_KINDS.find((kind) => kind === host.toLowerCase());
  if (bridge !== undefined) return { kind: 'bridge', protocol, bridge, port };
  return { kind: 'tcp', protocol, host: host.toLowerCase(), port };
}

function splitScheme(text: string): { readonly protocol: ListenProtocol; readonly rest: string } {
  const begin = text.toLowerCase();
  const protocol = LISTEN_PROTOCOLS.find((scheme) => begin.startsWith(`${scheme}://`));
  if (protocol === undefined) return { protocol: DEFAULT_PROTOCOL, rest: text };
  return { protocol, rest: text.slice(`${protocol}://`.length) };
}

/** `localhost` is both loopback addresses, not what the resolver makes of it: some clients try ::1 first, some know only 127.0.0.1. */
export function completeListen(written: WrittenListen, defaultPort: number): Listen[] {
  if (written.kind === 'bridge') return [{ ...written, port: written.port ?? defaultPort }];
  if (written.kind !== 'tcp') return [written];
  const { host, port = defaultPort } = written;
  if (host !== 'localhost') return [{ ...written, port, optional: false }];
  return ['127.0.0.1', '::1'].map((address) => ({ ...written, host: address, port, optional: true }));
}

/** `HOST:PORT`, `unix:PATH`, `systemd:NAME`, or `docker:PORT`. */
export function addressText(listen: Listen): string {
  if (listen.kind === 'unix') return `unix:${listen.path}`;
  if (listen.kind === 'systemd') return listen.name === undefined ? 'systemd' : `systemd:${listen.name}`;
  if (listen.kind === 'bridge') return `${listen.bridge}:${listen.port}`;
  return `${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${listen.port}`;
}

/** The same for two listeners that are one socket of the system; what is spoken on it may differ. */
export const addressKey = (listen: Listen): string => JSON.stringify({ ...listen, protocol: '', settings: undefined });

/**
 * Whether others than this machine's own users, and its containers, can reach a listener. A name counts as reachable, since it may mean anything,
 * and so does a socket that the service manager has opened.
 */
export function isExposed(listen: Listen): boolean {
  if (listen.kind !== 'tcp') return listen.kind === 'systemd';
  if (listen.subnet !== undefined) return false;
  const host = listen.host.replace(/^::ffff:/, '');
  if (isIPv4(host)) return !host.startsWith('127.');
  return host !== '::1' && host !== '0:0:0:0:0:0:0:1';
}

/** An address alone: all that the admin listener takes. */
export const listenAddress: z.ZodType<WrittenListen, string> = z
  .string({ error: `a listener is one text; ${FORMS}` })
  .transform((text, context) => {
    try {
      return parseListen(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
      return z.NEVER;
    }
  });

const proxyProtocol: z.ZodType<readonly string[] | undefined, OneOrList<string> | undefined> = listOrOne(
  z.union([z.literal(UNIX_PEERS), addressBlock]),
  'is empty: no peer could connect; leave it out where no load balancer is in front',
)
  .optional()
  .describe(
    'Addresses and blocks of load balancers that must begin each connection with a PROXY header (version 1 or 2); every other ' +
      'peer is closed. The address in the header is what `clients.allow`, limits and the log see. `unix`: the peers of a Unix socket.',
  );

const account = z.union([z.string().min(1, 'write a name or a number'), z.number().int().min(0).transform(String)]);

const pemPath = z.string().min(1, 'write the path of a PEM file');

const certificateFiles = {
  cert: pemPath.describe('PEM file of the certificate, with the chain behind it.'),
  key: pemPath.describe('PEM file of its private key.'),
} as const;

const listenTls: z.ZodType<ListenTls, ListenTls> = z
  .strictObject({
    ...certificateFiles,
    certificates: z
      .array(z.strictObject(certificateFiles))
      .readonly()
      .optional()
      .describe('Further certificates. A client that asks for a name in one of them (SNI) gets that one.'),
    clientCa: pemPath
      .optional()
      .describe(
        'PEM file of authorities that certify clients. A client with a certificate of theirs is the user that it names, without a password.',
      ),
    clientCert: z
      .enum(['required', 'optional'])
      .optional()
      .describe(
        'Whether a client must have a certificate, or may log in otherwise (`clients.users`). Default: `required`.',
      ),
    clientCrl: pemPath
      .optional()
      .describe('PEM file of revocation lists: one of every authority in `clientCa` that has issued certificates.'),
    user: z
      .enum(['cn', 'email', 'dns', 'fingerprint'])
      .optional()
      .describe(
        'What names the user in a certificate: the common name, the e-mail address or the DNS name of its subjectAltName, or its SHA-256 fingerprint in lower-case hexadecimal digits. A certificate that has none of these, or several, is refused. Default: `cn`.',
      ),
  })
  .refine(({ clientCa, clientCert, clientCrl, user }) => clientCa !== undefined || !(clientCert || clientCrl || user), {
    message: 'clientCert, clientCrl and user need clientCa: the authorities that certify clients',
  });

/** The settings of a listener that is written as an object with its `url`. */
const LISTEN_SETTINGS = {
  tls: listenTls
    .optional()
    .describe('Certificates of an `https:` listener. A file that changes is read again; open connections live on.'),
  h2c: z
    .boolean()
    .optional()
    .describe('Clients may speak HTTP/2 without TLS from the first byte, as a load balancer does. Default: `false`.'),
  protocol: z
    .enum(LISTEN_PROTOCOLS)
    .optional()
    .describe('What clients speak, where the address has no scheme (`unix:/PATH`). Default: `http`.'),
  proxyProtocol,
  mode: z
    .string({ error: 'is not a mode in quotes; write for example "0660"' })
    .regex(/^0?[0-7]{3}$/, 'is not a valid mode of a file; write for example "0660"')
    .transform((text) => Number.parseInt(text, 8))
    .optional()
    .describe(
      'Mode of the file of a Unix socket, in octal and in quotes: who may write may connect. Default: `"0660"` with `owner` or `group`, else what the umask leaves.',
    ),
  negotiate: z
    .strictObject({
      keytab: z
        .string()
        .min(1, 'write the path of a keytab')
        .describe('File with the keys of `HTTP/NAME`, where NAME is that of this proxy in the settings of clients.'),
      realm: z
        .string()
        .min(1, 'write the name of a realm')
        .optional()
        .describe(
          'Takes users of this realm alone, by their bare names. Default: of all realms that Kerberos trusts, as `user@REALM`.',
        ),
    })
    .optional()
    .describe(
      'Clients sign on with Kerberos (Negotiate); what `clients.users` asks for is offered besides. Not over SOCKS.',
    ),
  owner: account.optional().describe('User that owns the file of a Unix socket: a name of /etc/passwd, or a number.'),
  group: account.optional().describe('Group of the file of a Unix socket: a name of /etc/group, or a number.'),
} as const satisfies { readonly [Name in keyof ListenSettings]-?: z.ZodType };

/** A listener that is written with settings. */
export type ListenInput = { readonly url: string } & {
  readonly [Name in keyof ListenSettings]?: z.input<(typeof LISTEN_SETTINGS)[Name]>;
};

const listenWithSettings = z
  .strictObject({ url: listenAddress.describe('The address, as it stands alone.'), ...LISTEN_SETTINGS })
  .refine(({ url, protocol }) => url.protocol === DEFAULT_PROTOCOL || url.protocol === (protocol ?? url.protocol), {
    message: 'differs from the scheme of the URL; keep one of the two',
    path: ['protocol'],
  })
  .transform(
    ({ url, ...settings }): WrittenListen => ({ ...url, protocol: settings.protocol ?? url.protocol, settings }),
  );

/** A listener: its address, or an object of the address and its settings. */
export const listenSchema: z.ZodType<WrittenListen, string | ListenInput> = z.union([
  listenAddress,
  listenWithSettings,
]);

/** How long a client may take. */
export const clientTimeouts = {
  requestHead: duration('above-0')
    .prefault('10s')
    .describe(
      'How long a client may take between two bytes of a request head, else 408. Idle keep-alive is not counted.',
    ),
  requestBody: duration('above-0')
    .prefault('60s')
    .describe(
      'How long a client may be silent in the middle of a request body, else 408; and how long it may take nothing of the ' +
        'responses that wait for it, else it is closed.',
    ),
  clientGone: duration('may-be-0')
    .prefault('2s')
    .describe(
      'After the FIN of a client behind a complete plain request: how long nothing may be sent to it before it ' +
        'counts as gone and the request is given up; 0: at once. Tunnels have `linger`.',
    ),
} as const satisfies Record<string, z.ZodType<number, string | number | undefined>>;

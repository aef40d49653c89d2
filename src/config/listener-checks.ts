import { addressText, isExposed, type Listen, UNIX_PEERS } from '../clients/options.ts';
import { readFileBounded } from '../files/read-file.ts';
import { accountFile, accountNumber } from '../files/system-accounts.ts';
import { readTlsMaterial, TlsMaterialError } from '../net/tls-material.ts';
import { quoted, redact } from '../util/redact.ts';
import type { Config } from './config.ts';
import type { Problem } from './problems.ts';

/** What makes an exposed listener a decision, in the words of who reads it. */
const EXPOSURE_ADVICE = {
  command:
    'add `clients: { users: users.htpasswd }` (--auth) or `clients: { allow: [10.0.0.0/8] }` (--allow), or set --open',
  program:
    "add an `authenticate` hook, `clients: { users: 'users.htpasswd' }` or `clients: { allow: ['10.0.0.0/8'] }`, or set `open: true`",
} as const;

/** An open proxy is found within hours, and used for what its operator is liable for. */
export function checkExposure(
  { listen, open, clients, access }: Config,
  usedBy: keyof typeof EXPOSURE_ADVICE,
): Problem[] {
  if (open || clients.users !== undefined || clients.allow !== undefined) return [];
  const exposed = listen.find(
    (one) => isExposed(one) && !requiresCertificate(one) && one.settings?.negotiate === undefined,
  );
  if (exposed === undefined) return [];
  const where = exposed.kind === 'tcp' ? exposed.host : 'the socket of the service manager';
  const advice = EXPOSURE_ADVICE[usedBy];
  const but = access.length > 0 ? ', and `access` says only where to' : '';
  return [{ path: ['listen'], message: `everyone who reaches ${where} could use this proxy${but}: ${advice}` }];
}

/** `any` serves clients without TLS too. */
const requiresCertificate = ({ protocol, settings }: Listen): boolean =>
  protocol === 'https' && settings?.tls?.clientCa !== undefined && settings.tls.clientCert !== 'optional';

/** Problems of the listeners, alone and with one another. */
export const checkListeners = (config: Config): Problem[] => [
  ...checkDuplicates(config),
  ...checkSettings(config),
  ...checkTls(config),
];

function checkDuplicates({ listen }: Config): Problem[] {
  const seen = new Set<string>();
  for (const one of listen) {
    if (one.kind === 'tcp' && one.port === 0) continue;
    const address = one.kind === 'tcp' ? `${one.host} port ${one.port}` : addressText(one);
    if (seen.has(address)) return [{ path: ['listen'], message: `names ${redact(address)} twice; keep one` }];
    seen.add(address);
  }
  return [];
}

/** Settings that mean nothing for the address that they stand with, and accounts that this machine does not have. */
function checkSettings({ listen, workers }: Config): Problem[] {
  const problems = listen.flatMap((one) => {
    const { mode, owner, group, h2c, negotiate, proxyProtocol = [] } = one.settings ?? {};
    const messages: string[] = [];
    if (h2c && (one.protocol === 'https' || one.protocol === 'socks5')) {
      const why = one.protocol === 'https' ? 'has HTTP/2 without it' : 'has no HTTP/2';
      messages.push(`h2c is for http:// and any://, and ${one.protocol}:// ${why}; remove it`);
    }
    const hasFileRules = mode !== undefined || owner !== undefined || group !== undefined;
    if (one.kind !== 'unix' && hasFileRules)
      messages.push(`${redact(addressText(one))} has no file: mode, owner and group are for unix:/PATH`);
    if (one.kind === 'tcp' && proxyProtocol.includes(UNIX_PEERS))
      messages.push(`${addressText(one)} has no peers of a Unix socket: name addresses in proxyProtocol`);
    if (one.kind === 'unix' && proxyProtocol.some((peer) => peer !== UNIX_PEERS))
      messages.push(`${redact(addressText(one))} has peers without an address: write proxyProtocol: ${UNIX_PEERS}`);
    for (const [kind, name] of [['user', owner] as const, ['group', group] as const]) {
      if (name !== undefined && accountNumber(kind, name) === undefined)
        messages.push(`there is no ${kind} ${quoted(name)} in ${accountFile(kind)}; write another, or its number`);
    }
    if (negotiate !== undefined && one.protocol === 'socks5')
      messages.push(
        `${addressText(one)} speaks SOCKS alone, which carries no Kerberos ticket; write any:// or http://`,
      );
    if (
      one.protocol === 'any' &&
      one.settings?.tls?.clientCa !== undefined &&
      one.settings.tls.clientCert !== 'optional'
    )
      messages.push('any:// serves clients without TLS too: with clientCa write https://, or clientCert: optional');
    const keytab = negotiate && problemOfPem(negotiate.keytab);
    if (keytab !== undefined) messages.push(keytab);
    if (one.kind === 'systemd' && workers !== 1)
      messages.push('systemd passes its sockets to one process: set workers to 1');
    return messages;
  });
  return [...new Set(problems)].map((message) => ({ path: ['listen'], message }));
}

/** Certificates of listeners that are missing, or cannot be used. */
function checkTls({ listen }: Config): Problem[] {
  const read = new Set<string>();
  return listen.flatMap(({ protocol, settings }) => {
    const tls = settings?.tls;
    if (protocol === 'https' && tls === undefined) {
      const message = 'a listener for https: needs a certificate: write { url: …, tls: { cert: FILE, key: FILE } }';
      return [{ path: ['listen'], message }];
    }
    if (tls === undefined) return [];
    if (protocol === 'http' || protocol === 'socks5') {
      return [{ path: ['listen'], message: `tls is for https: listeners, and ${protocol}: has none; write https://` }];
    }
    // Both halves of localhost have the same.
    const key = JSON.stringify(tls);
    if (read.has(key)) return [];
    read.add(key);
    try {
      readTlsMaterial(tls);
      return [];
    } catch (error) {
      if (!(error instanceof TlsMaterialError)) throw error;
      return [{ path: ['listen'], message: `${['tls', ...error.path].join('.')}: ${error.message}` }];
    }
  });
}

/** Whether a listener takes the users that certificates or tickets name: no file here has all of those. */
export const hasOtherUsers = ({ listen }: Config): boolean =>
  listen.some(({ settings }) => settings?.tls?.clientCa !== undefined || settings?.negotiate !== undefined);

const PEM_BYTES_MAX = 1_048_576;

export function problemOfPem(path: string): string | undefined {
  try {
    readFileBounded(path, { bytesMax: PEM_BYTES_MAX, pipes: 'refuse' });
    return undefined;
  } catch (error) {
    return `${redact(path)} cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
}

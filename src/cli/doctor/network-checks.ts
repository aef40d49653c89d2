import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { redact } from '../../util/redact.ts';
import type { Check } from './finding.ts';
import { trustOf } from './trust.ts';

/** Beyond this Kerberos does not accept a ticket (RFC 4120 §8.2). */
const SKEW_MS_KERBEROS = 5 * 60_000;
const SKEW_MS_NOTABLE = 60_000;
const LOOKUP_MS_MAX = 8_000;

export const dnsCheck: Check = {
  name: 'DNS',
  async run({ url, probe, subject }) {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    if (isIP(host) !== 0) return [];
    const started = performance.now();
    try {
      const found = await withinLimit(lookup(host, { all: true }));
      const ms = Math.round(performance.now() - started);
      return [{ level: 'ok', text: `this machine resolves ${host} (${found[0]?.address}) in ${ms} ms` }];
    } catch {
      const isReached = subject.kind !== 'none' && (await probe).kind === 'answered';
      if (isReached) {
        return [
          { level: 'ok', text: `this machine does not resolve ${host}; the upstream proxy does, which is enough` },
        ];
      }
      return [
        {
          level: 'warning',
          text: `this machine does not resolve ${host}`,
          mend: 'check the network and its name servers, and whether the VPN is up',
        },
      ];
    }
  },
};

function withinLimit<T>(work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error('too slow')), LOOKUP_MS_MAX);
    work.then(resolve, reject).finally(() => clearTimeout(limit));
  });
}

export const clockCheck: Check = {
  name: 'clock',
  async run({ probe }) {
    const result = await probe;
    if (result.kind !== 'answered' || result.skewMs === undefined)
      return [{ level: 'note', text: 'no server has said what time it is' }];
    const seconds = Math.round(Math.abs(result.skewMs) / 1000);
    if (seconds * 1000 < SKEW_MS_NOTABLE)
      return [{ level: 'ok', text: `the clock agrees with the server's (${seconds} s apart)` }];
    const way = result.skewMs > 0 ? 'behind' : 'ahead of';
    const isTooMuch = seconds * 1000 >= SKEW_MS_KERBEROS;
    return [
      {
        level: isTooMuch ? 'failed' : 'warning',
        text: `the clock is ${seconds} s ${way} the server's${isTooMuch ? ': Kerberos accepts no ticket, and certificates may count as expired' : ''}`,
        mend: 'set the clock by the network (timedatectl set-ntp true)',
      },
    ];
  },
};

export const tlsCheck: Check = {
  name: 'TLS',
  async run({ probe, url }) {
    const result = await probe;
    if (result.kind !== 'answered' || url.protocol !== 'https:') return [];
    const trust = trustOf(result.chain);
    const host = redact(url.hostname);
    if (trust.by === 'public')
      return [{ level: 'ok', text: `TLS is not inspected on the way: ${trust.root} vouches for ${host}` }];
    if (trust.by === 'system') {
      return [
        {
          level: 'warning',
          text: `TLS is inspected on the way: “${trust.root}”, which this system trusts and Node does not bring, vouches for ${host}`,
          mend: `viaduct setup --ca auto. By hand: NODE_EXTRA_CA_CERTS and DENO_CERT add to a program's roots; SSL_CERT_FILE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, PIP_CERT, GIT_SSL_CAINFO, CARGO_HTTP_CAINFO and AWS_CA_BUNDLE replace them, so give these the merged file that setup writes`,
        },
      ];
    }
    return [
      {
        level: 'failed',
        text: `no root certificate of this machine vouches for ${host}: the last in its chain was issued by “${trust.top}”`,
        mend: 'if that is your office, install its root certificate in the store of the system, or name it: viaduct setup --ca FILE; else do not go there',
      },
    ];
  },
};

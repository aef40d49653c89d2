import { FAILURES, type FailureCode } from '../../contracts/failure.ts';
import { printable } from '../../observe/escape.ts';
import { redact } from '../../util/redact.ts';
import { answers } from '../answers.ts';
import type { Check, Finding } from './finding.ts';
import type { Probe } from './probe.ts';
import type { ProxyOnRoute } from './subject.ts';

export const proxyCheck: Check = {
  name: 'proxy',
  async run({ proxy, subject }) {
    const url = redact(proxy.url);
    if (subject.kind === 'none') return [{ level: 'failed', text: subject.why, mend: subject.mend }];
    if (subject.kind === 'running') {
      const { pid, version, listeners } = proxy.instance ?? { pid: 0, version: '', listeners: [] };
      const mode = await subject.mode();
      return [
        { level: 'ok', text: `viaduct ${version} runs (process ${pid}) on ${listeners.join(', ')}` },
        ...(mode === undefined
          ? []
          : [
              {
                level: 'note',
                text: `its routes are switched by hand: ${mode}`,
                mend: 'viaduct mode configured',
              } as const,
            ]),
      ];
    }
    if (subject.kind === 'foreign') {
      return (await answers(proxy))
        ? [{ level: 'ok', text: `${url} answers; it is not a viaduct of this user, so it says nothing about itself` }]
        : [{ level: 'failed', text: `nothing answers at ${url}`, mend: 'start it, or name another with --through' }];
    }
    const isTaken = await answers(proxy);
    const text = isTaken
      ? `no viaduct of this user runs, but something answers at ${url}`
      : `no viaduct of this user runs, and nothing answers at ${url}; what follows was tried with one that was started for this`;
    return [{ level: 'failed', text, mend: isTaken ? 'end the other program, or choose --port' : 'viaduct run' }];
  },
};

export const pacCheck: Check = {
  name: 'PAC',
  async run({ subject }): Promise<readonly Finding[]> {
    if (subject.kind === 'none' || subject.kind === 'foreign') return [];
    const pac = await subject.pac();
    if (pac === undefined) return [{ level: 'note', text: 'the proxy says nothing about its PAC' }];
    const source = redact(pac.source ?? '');
    switch (pac.state) {
      case 'none':
        return [{ level: 'ok', text: 'there is no PAC, and none is missing' }];
      case 'system-proxies':
        return [{ level: 'ok', text: `the setting of the system (${source}) names proxies, and no PAC` }];
      case 'script': {
        const age = ageText(pac.ageMs ?? 0);
        const { lastError } = pac;
        if (lastError === undefined) return [{ level: 'ok', text: `the PAC ${source} was read ${age} ago` }];
        return [
          { level: 'warning', text: `the PAC ${source} is a copy that was read ${age} ago: ${printable(lastError)}` },
        ];
      }
      case 'unreachable':
        return [
          {
            level: 'warning',
            text: `the PAC ${source} cannot be read: ${printable(pac.lastError ?? '')}`,
            mend: 'connect to the network that it belongs to (VPN), or name another with --pac',
          },
        ];
    }
  },
};

const ageText = (ms: number): string =>
  ms < 120_000
    ? `${Math.round(ms / 1000)} s`
    : ms < 7_200_000
      ? `${Math.round(ms / 60_000)} min`
      : `${Math.round(ms / 3_600_000)} h`;

/** Those on the way to the URL, and others that were used before. */
export const upstreamCheck: Check = {
  name: 'upstream proxies',
  async run({ subject, probe, url }) {
    if (subject.kind === 'none' || subject.kind === 'foreign') return [];
    const onRoute = await subject.proxiesFor(url.href);
    // The request leaves its mark on them.
    const result = await probe;
    const findings = await Promise.all(onRoute.map((one) => findingOf(one, result.kind)));
    const names = onRoute.map(({ host, port }) => `${host}:${port}`);
    for (const { name, state, lastFailure } of await subject.upstreams()) {
      if (state === 'up' || names.some((one) => name.endsWith(one))) continue;
      const why = lastFailure === undefined ? '' : `: ${printable(lastFailure)}`;
      findings.push({ level: 'note', text: `${redact(name)} is left out for now${why}` });
    }
    return findings.length > 0 ? findings : [{ level: 'ok', text: `${redact(url.href)} is requested directly` }];
  },
};

async function findingOf(one: ProxyOnRoute, outcome: Probe['kind']): Promise<Finding> {
  const name = `${one.host}:${one.port}`;
  if (one.isRejected) {
    return {
      level: 'failed',
      text: `${name} has rejected the password, which is not sent any more`,
      mend: 'viaduct login',
    };
  }
  if (!(await answers(one))) {
    const mend = 'check the network, and whether the VPN is up; --direct-fallback goes direct meanwhile';
    return { level: outcome === 'answered' ? 'warning' : 'failed', text: `${name} cannot be reached`, mend };
  }
  if (outcome === 'failed') return { level: 'warning', text: `${name} accepts connections, and does not respond` };
  return { level: 'ok', text: `${name} answers` };
}

/** What to do about a refusal. */
const MENDS: Partial<Readonly<Record<FailureCode, string>>> = {
  upstream_auth_failed: 'viaduct login; then kill -HUP the proxy, or start it',
  client_auth_required: 'give the user and the password of clients.users to the tool',
  denied: 'viaduct why URL names the rule',
  address_prohibited: 'viaduct why URL names the address; guard.allow permits it',
  dns_failed: 'check the name, and whether the VPN is up',
  dns_timeout: 'check the network; the name server does not answer',
  connect_timeout: 'check the network; with an upstream proxy, whether the VPN is up',
  connection_refused: 'check the address; with an upstream proxy, its port',
  host_unreachable: 'check the network',
  certificate_rejected: 'upstreams: [{ host, ca }] trusts the authority of the upstream proxy',
  upstream_refused: 'the policy of the upstream proxy forbids it; ask who runs it',
  loop_detected: 'the PAC or --proxy leads back to viaduct; viaduct why URL shows it',
};

export const requestCheck: Check = {
  name: 'request',
  async run({ url, probe, subject }) {
    if (subject.kind === 'none') return [];
    const result = await probe;
    const shown = redact(url.href);
    if (result.kind === 'answered') {
      const status = result.status === undefined ? 'was reached' : `responded with ${result.status}`;
      return [{ level: 'ok', text: `${shown} ${status} in ${result.ms} ms` }];
    }
    if (result.kind === 'failed') {
      const mend = 'viaduct explain URL shows every message';
      return [
        { level: 'failed', text: `${shown} cannot be reached through the proxy: ${printable(result.why)}`, mend },
      ];
    }
    const { code, status, why } = result;
    const sentence = code === undefined ? printable(why) : `${FAILURES[code].clientMessage} (${printable(why)})`;
    const mend = (code && MENDS[code]) ?? 'viaduct explain URL shows every message';
    return [{ level: 'failed', text: `the proxy refused ${shown} with ${status}: ${sentence}`, mend }];
  },
};

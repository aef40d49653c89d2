import type { Step } from './steps.ts';

export interface Phase {
  readonly name: 'proxy' | 'dns' | 'connect' | 'next-tls' | 'tunnel' | 'tls' | 'request' | 'response';
  /** What passes in this time. */
  readonly what: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/** Where the time went, read off the steps: phases that did not happen, or of which no step reports, are left out. */
export function phases(steps: readonly Step[]): Phase[] {
  const found: Phase[] = [];
  const phase = (name: Phase['name'], what: string, fromMs: number | undefined, toMs: number | undefined) => {
    if (fromMs !== undefined && toMs !== undefined) found.push({ name, what, fromMs: Math.max(0, fromMs), toMs });
  };
  const first = (wanted: (step: Step) => boolean) => steps.find(wanted);
  const head = (mark: string, role: string) =>
    first((step) => step.kind === 'head' && step.mark === mark && step.role === role)?.ms;

  phase('proxy', 'you connect to the proxy', 0, first(({ kind }) => kind === 'proxy-connected')?.ms);
  const dns = first(({ kind }) => kind === 'dns');
  if (dns?.kind === 'dns') phase('dns', 'it finds the address', dns.ms - dns.tookMs, dns.ms);
  const failed = steps.findLast(({ kind }) => kind === 'attempt-failed')?.ms;
  const connected = first(({ kind }) => kind === 'connected')?.ms ?? failed;
  const dialing = first(({ kind }) => kind === 'dialing')?.ms;
  phase('connect', 'it connects', dialing, connected);
  const secured = first(({ kind }) => kind === 'secured');
  if (secured?.kind === 'secured')
    phase('next-tls', 'it agrees on keys with the next proxy', secured.ms - secured.tookMs, secured.ms);
  if (dns === undefined && connected === undefined) {
    phase('tunnel', 'the proxy does its part', head('>', 'connect'), head('<', 'connect-response'));
  }
  const tls = first(({ kind }) => kind === 'tls');
  if (tls?.kind === 'tls') phase('tls', 'you and the site agree on keys', tls.ms - tls.tookMs, tls.ms);
  const responded = head('<', 'response');
  phase('request', 'request sent, response awaited', head('>>', 'request') ?? head('>', 'request'), responded);
  phase('response', 'the response arrives', responded, first(({ kind }) => kind === 'body')?.ms);
  return found;
}

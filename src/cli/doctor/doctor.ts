import { FLAGS } from '../../config/flags.ts';
import { ConfigError } from '../../config/problems.ts';
import { load } from '../../config/sources.ts';
import { stateFolder } from '../../files/state-folder.ts';
import { withScheme } from '../../protocol/addresses/typed-url.ts';
import { quoted, redact } from '../../util/redact.ts';
import type { Call } from '../command.ts';
import { type MeantProxy, meantProxy } from '../meant-proxy.ts';
import { out, UsageError } from '../print.ts';
import { thisMachine } from '../setup/machine.ts';
import type { Check, Finding, Patient } from './finding.ts';
import { leftoverCheck, otherUsersCheck } from './machine-checks.ts';
import { clockCheck, dnsCheck, tlsCheck } from './network-checks.ts';
import { probeThrough } from './probe.ts';
import { pacCheck, proxyCheck, requestCheck, upstreamCheck } from './proxy-checks.ts';
import { foreignSubject, runningSubject, startedSubject } from './subject.ts';
import { toolCheck } from './tool-checks.ts';

/** Reserved for examples (RFC 2606), and there. */
const DEFAULT_URL = 'https://example.com/';
/** All checks run beside each other, and what has not ended by then is said to be too slow. */
const ALL_MS_MAX = 28_000;

const CHECKS: readonly Check[] = [
  proxyCheck,
  pacCheck,
  requestCheck,
  upstreamCheck,
  dnsCheck,
  clockCheck,
  tlsCheck,
  toolCheck,
  leftoverCheck,
  otherUsersCheck,
];

/** `viaduct doctor [URL]`: what works and what does not; gives 1 when something has failed. */
export async function run(call: Call): Promise<number> {
  const url = urlOf(call.operands[0] ?? DEFAULT_URL);
  const late = lateFinding();
  const machine = thisMachine(process.env);
  const stateDir = stateFolder(process.env);
  const { config, problem } = configOf(call);
  const proxy = await meantOrDefault(call).catch((error: unknown) => {
    // Who asked for JSON gets it for every mistake that is found after the command line was read.
    if (error instanceof UsageError && call.options.has('json')) {
      const checks = [{ check: 'proxy', level: 'failed', text: error.message }];
      out(JSON.stringify({ ok: false, url: redact(url.href), checks }, null, 1));
    }
    throw error;
  });
  const subject = await subjectOf(proxy, config, problem, stateDir);
  const probe =
    subject.kind === 'none'
      ? Promise.resolve({ kind: 'failed', why: 'there is no proxy to ask' } as const)
      : probeThrough(new URL(subject.url), url);
  const patient: Patient = { machine, url, proxy, subject, probe, stateDir, config };
  const results = await Promise.all(
    CHECKS.map(async (check) => ({
      name: check.name,
      findings: await Promise.race([findingsOf(check, patient), late]),
    })),
  );
  const isFine = results.every(({ findings }) => findings.every(({ level }) => level !== 'failed'));
  if (call.options.has('json'))
    out(JSON.stringify({ ok: isFine, url: redact(url.href), checks: asJson(results) }, null, 1));
  else for (const line of linesOf(results)) out(line);
  if (subject.kind !== 'none') await subject[Symbol.asyncDispose]();
  return isFine ? 0 : 1;
}

interface Result {
  readonly name: string;
  readonly findings: readonly Finding[];
}

function urlOf(text: string): URL {
  const url = URL.parse(withScheme(text, 'https'));
  if (url === null || url.hostname === '' || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`${quoted(text)} is not a valid URL; write for example ${DEFAULT_URL}`);
  }
  return url;
}

function configOf({ options }: Call): Pick<Patient, 'config'> & { readonly problem: string | undefined } {
  const file = options.get('config')?.at(-1);
  const flag = FLAGS.find(({ name }) => name === 'config');
  const flags = file === undefined || flag === undefined ? [] : [{ flag, text: file, label: '--config' }];
  try {
    return { config: load({ flags, environment: process.env, isTerminal: false }).config, problem: undefined };
  } catch (error) {
    if (error instanceof ConfigError) return { config: undefined, problem: error.lines[0] };
    throw error;
  }
}

/** A configuration that is wrong is a finding, and no reason to say nothing else. */
async function meantOrDefault(call: Call): Promise<MeantProxy> {
  try {
    return await meantProxy(call, process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { url: 'http://127.0.0.1:3128', host: '127.0.0.1', port: 3128, by: 'default', instance: undefined };
  }
}

async function subjectOf(
  proxy: MeantProxy,
  config: Patient['config'],
  problem: string | undefined,
  stateDir: string,
): Promise<Patient['subject']> {
  if (proxy.by === 'through') {
    if (proxy.url.startsWith('http://')) return foreignSubject(proxy.url);
    return { kind: 'none', why: 'doctor asks proxies of http:// alone', mend: 'viaduct explain --through asks others' };
  }
  if (proxy.instance !== undefined) return runningSubject(proxy.instance, proxy.url);
  if (config === undefined)
    return { kind: 'none', why: `the configuration is wrong: ${problem}`, mend: 'viaduct check' };
  try {
    return await startedSubject(config, stateDir);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { kind: 'none', why: `a proxy with this configuration does not start: ${why}`, mend: 'viaduct check' };
  }
}

async function findingsOf({ run: look }: Check, patient: Patient): Promise<readonly Finding[]> {
  try {
    return await look(patient);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return [{ level: 'warning', text: `this could not be looked at: ${redact(why)}` }];
  }
}

function lateFinding(): Promise<readonly Finding[]> {
  return new Promise((resolve) => {
    const text = 'this took too long, and was given up';
    setTimeout(() => resolve([{ level: 'warning', text }]), ALL_MS_MAX).unref();
  });
}

const asJson = (results: readonly Result[]) =>
  results.flatMap(({ name, findings }) => findings.map((finding) => ({ check: name, ...finding })));

const SIGNS = { ok: '✔', note: '·', warning: '!', failed: '✖' } as const;

function linesOf(results: readonly Result[]): readonly string[] {
  const width = Math.max(...results.map(({ name }) => name.length));
  const lines = results.flatMap(({ name, findings }) =>
    findings.flatMap(({ level, text, mend }) => [
      `${SIGNS[level]} ${name.padEnd(width)}  ${text}`,
      ...(mend === undefined || level === 'ok' ? [] : [`  ${' '.repeat(width)}  → ${mend}`]),
    ]),
  );
  const count = (wanted: Finding['level']) =>
    results.flatMap(({ findings }) => findings).filter(({ level }) => level === wanted).length;
  const [failed, warnings] = [count('failed'), count('warning')];
  if (failed > 0) return [...lines, `${failed} of these must be mended`];
  const more = warnings === 0 ? '' : `; lines with ! say what else does not work`;
  return [...lines, `nothing stands in the way of this URL${more}`];
}

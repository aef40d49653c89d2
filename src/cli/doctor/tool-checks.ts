import { printable } from '../../observe/escape.ts';
import { redact } from '../../util/redact.ts';
import { answers } from '../answers.ts';
import { JournalFile } from '../setup/journal.ts';
import { type Plan, planOf } from '../setup/plan.ts';
import { shortPath, withoutLogins } from '../setup/text.ts';
import type { Tool } from '../setup/tool.ts';
import { TOOLS } from '../setup/tools/tools.ts';
import { wantedFor } from '../setup/wanted.ts';
import type { Check, Finding, Patient } from './finding.ts';

/** Each tool that setup has set up, or that points at this proxy, by one real request. */
export const toolCheck: Check = {
  name: 'tools',
  async run(patient) {
    if (patient.proxy.url.includes('@') || !patient.proxy.url.startsWith('http://')) return [];
    const known = new Set(new JournalFile(patient.stateDir).read().entries.map(({ tool }) => tool));
    const found = TOOLS.filter((tool) => tool.scope === 'user' && tool.isFound(patient.machine));
    const looked = await Promise.all(
      found.map(async (tool) => ({ tool, findings: await findingsOf(tool, patient, known) })),
    );
    const idle = looked.filter(({ findings }) => findings === 'not set up').map(({ tool }) => tool.name);
    const findings = looked.flatMap((one) => (one.findings === 'not set up' ? [] : one.findings));
    if (idle.length === 0) return findings;
    return [
      ...findings,
      { level: 'note', text: `not set up: ${idle.join(', ')}`, mend: 'viaduct setup, or viaduct exec -- COMMAND' },
    ];
  },
};

async function findingsOf(
  tool: Tool,
  patient: Patient,
  known: ReadonlySet<string>,
): Promise<readonly Finding[] | 'not set up'> {
  const plan = await planOf(tool, patient.machine, wantedFor(patient.proxy, 'where-served', undefined));
  if (plan.kind === 'untouched')
    return tool.when === 'named' ? [] : [{ level: 'note', text: `${tool.name}: ${plan.why}` }];
  const isSetUp = plan.compared.length > 0 && plan.compared.every(({ state }) => state !== 'differs');
  if (!isSetUp) return tool.when === 'named' && !known.has(tool.name) ? [] : notSetUp(tool, plan, patient, known);
  const words = tool.probe?.(patient.url.href);
  if (words === undefined) return [{ level: 'ok', text: `${tool.name} is set up` }];
  const { code, out, err } = await patient.machine.run(words);
  const shown = words.map(redact).join(' ');
  if (code === 0) return [{ level: 'ok', text: `${tool.name} is set up, and works (${shown})` }];
  const why = reasonIn(err.trim() === '' ? out : err) ?? 'it has ended without a word';
  const mend = (await answers(patient.proxy)) ? whereToLook(words, patient) : 'viaduct run';
  return [{ level: 'warning', text: `${tool.name} is set up, and fails (${shown}): ${why}`, mend }];
}

/** A tool that asks a server of its own meets other certificates and rules than the URL that was looked at. */
function whereToLook(words: readonly string[], { url }: Patient): string {
  const own = words.find((word) => /^https?:\/\//.test(word) && word !== url.href);
  return own === undefined ? 'see request and TLS' : `viaduct doctor ${redact(own)}`;
}

const REASON_LENGTH_MAX = 200;

/** Of what a tool has printed the line that says what went wrong: npm and Cargo print many around it. */
export function reasonIn(printed: string): string | undefined {
  const lines = printed.split(/\r?\n/).filter((line) => line.trim() !== '');
  const reason = lines.find((line) => /error|fatal|failed|refused|denied/i.test(line) && !/^\W*warn/i.test(line));
  const line = reason ?? lines.at(-1);
  return line === undefined ? undefined : withoutLogins(printable(line.trim())).slice(0, REASON_LENGTH_MAX);
}

/** What is left of another proxy fails as soon as that one is gone. */
async function notSetUp(
  tool: Tool,
  { compared }: Plan & { readonly kind: 'compared' },
  { machine }: Patient,
  known: ReadonlySet<string>,
): Promise<readonly Finding[] | 'not set up'> {
  const setup = `viaduct setup ${tool.name}`;
  for (const { setting, before } of compared) {
    const address = before === undefined ? undefined : loopbackIn(before);
    if (address === undefined || (await answers(address))) continue;
    const place = setting.kind === 'file' ? shortPath(setting.path, machine.home) : setting.program.name;
    const text = `${tool.name} (${place}) uses ${address.host}:${address.port}, where nothing answers: a proxy that is gone?`;
    return [{ level: 'warning', text, mend: setup }];
  }
  if (!known.has(tool.name)) return 'not set up';
  return [{ level: 'note', text: `${tool.name} is set up for another proxy, or was changed since`, mend: setup }];
}

/** The address of a proxy on this machine in a value: px, cntlm and others leave it behind. */
export function loopbackIn(text: string): { readonly host: string; readonly port: number } | undefined {
  const match = /(?:^|[/\s"'@])(localhost|127(?:\.\d{1,3}){3}|\[::1\])[:\s](\d{1,5})(?!\d)/.exec(text);
  return match === null ? undefined : { host: (match[1] ?? '').replace(/^\[|\]$/g, ''), port: Number(match[2]) };
}

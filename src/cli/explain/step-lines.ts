import { bytesText, durationText } from '../../observe/units.ts';
import type { Explanation, HeadStep, Mark, Step } from './steps.ts';

type Tone = 'dim' | 'red' | 'yellow';

/** A line of the conversation, as the page of a terminal and the one of a browser show it. Nothing is escaped yet. */
export type StepLine =
  /** What stands on the wire. */
  | { readonly kind: 'wire'; readonly mark: Mark; readonly text: string; readonly weight: 'start-line' | 'field' }
  /** What we say about it, with a figure. */
  | { readonly kind: 'note'; readonly text: string; readonly figure: string; readonly tone: Tone }
  /** A part of what the note before is about. */
  | { readonly kind: 'detail'; readonly text: string }
  | { readonly kind: 'tunnel-begins' }
  | { readonly kind: 'tunnel-ends'; readonly text: string };

const note = (text: string, figure = '', tone: Tone = 'dim'): StepLine => ({ kind: 'note', text, figure, tone });
const wire = (mark: Mark, text: string, weight: 'start-line' | 'field'): StepLine => ({
  kind: 'wire',
  mark,
  text,
  weight,
});

/** The lines of the step at `index` of a run. */
export function stepLines(run: Explanation, index: number): readonly StepLine[] {
  const step = run.steps[index];
  if (step === undefined) return [];
  switch (step.kind) {
    case 'proxy-connected':
      return [note(`${step.from} to ${step.to}${step.over === 'tls' ? ', over TLS' : ''}`, durationText(step.ms))];
    case 'head':
      return headLines(step, run, index);
    case 'socks':
      return [
        wire('>', `${step.protocol.toUpperCase()} CONNECT ${step.asked}`, 'start-line'),
        note(
          `the name is resolved by ${step.resolvedBy}${step.login === 'none' ? '' : '; the login in its URL goes to it if it asks'}`,
        ),
        wire('<', 'succeeded', 'start-line'),
      ];
    case 'decided':
      return [note(`rule "${step.rule}" ${step.verdict === 'allow' ? 'allows' : 'denies'} it`)];
    case 'routed':
      return [note(`route: ${step.routes.join(', else ')}`)];
    case 'dns':
      return [note(`${step.host} is ${step.addresses.join(', ') || 'unknown'}`, durationText(step.tookMs))];
    case 'dialing':
      return [note(`attempt ${step.attempt}: ${step.address} port ${step.port}`)];
    case 'attempt-failed':
      return [note(`${step.address} failed: ${step.reason}`, durationText(step.tookMs), 'red')];
    case 'connected':
      return [note(`connected to ${step.address}`, durationText(step.tookMs))];
    case 'secured':
      return [
        note(
          `TLS with ${step.proxy}: its certificate is trusted; inside they speak ${step.speaks === 'h2' ? 'HTTP/2, shown below as in HTTP/1.1' : 'HTTP/1.1'}`,
          durationText(step.tookMs),
        ),
      ];
    case 'tunnel-open':
      return [{ kind: 'tunnel-begins' }];
    case 'client-hello':
      return [
        wire(
          '>',
          `ClientHello, ${bytesText(step.bytes)}: name ${step.serverName ?? '(none)'}, ` +
            `ALPN ${step.alpn.join(', ') || '(none)'}, ${step.versions.join(' or ')}`,
          'field',
        ),
        note('this much the proxy can read, since it is in the clear; of all that follows only the length'),
      ];
    case 'tls':
      return tlsLines(step);
    case 'body':
      return [
        note(BODY_ENDS[step.ended](bytesText(step.bytes))),
        ...(step.text === undefined ? [] : [note(`it says: ${step.text}`)]),
      ];
    case 'done': {
      const moved = `${bytesText(step.bytesUp)} up, ${bytesText(step.bytesDown)} down`;
      return isInTunnel(run.steps, index)
        ? [{ kind: 'tunnel-ends', text: `it carried ${moved}` }]
        : [note(`on the connection to the proxy: ${moved}`)];
    }
    case 'failed':
      return [
        note(`${step.who}: ${step.what}`, '', 'red'),
        ...(step.advice === undefined ? [] : [note(step.advice, '', 'yellow')]),
      ];
  }
}

/** Whether the step happens behind a 200 to CONNECT. */
export const isInTunnel = (steps: readonly Step[], index: number): boolean =>
  steps.slice(0, index).some(({ kind }) => kind === 'tunnel-open');

const BODY_ENDS = {
  complete: (size: string) => (size === '0 B' ? 'no body' : `a body of ${size}, complete`),
  cut: (size: string) => `the body broke off after ${size}`,
  enough: (size: string) => `${size} of the body read; more is coming, but this is enough to explain`,
} as const;

function headLines(head: HeadStep, run: Explanation, index: number): StepLine[] {
  const [start = '', ...fields] = head.lines;
  const lines: StepLine[] = [wire(head.mark, start, 'start-line')];
  for (const field of [...fields, '']) lines.push(wire(head.mark, field, 'field'));
  for (const { field, scheme, parts } of head.tokens ?? []) {
    lines.push(note(`${field}${scheme === '' ? '' : `, ${scheme}`}, taken apart:`));
    for (const { name, value } of parts) lines.push({ kind: 'detail', text: `${name}: ${value}` });
  }
  if (head.role === 'connect') lines.push(note('the blank line ends it; you send nothing more until the response'));
  // A proxy in another process reports nothing about its work: say so, or it would seem that it did none.
  const hasProxySteps = run.steps.slice(0, index).some(({ kind }) => kind === 'dialing' || kind === 'decided');
  const opened =
    head.role === 'connect-response' && head.mark === '<' && head.status !== undefined && head.status < 300;
  if (opened && run.proxy.started === 'before' && !hasProxySteps) {
    lines.push(note('how it found and reached the site, only that proxy knows'));
  }
  return lines;
}

function tlsLines(step: Extract<Step, { kind: 'tls' }>): StepLine[] {
  const alpn = step.alpn === undefined ? '' : `, ALPN ${step.alpn}`;
  const agreed = note(`agreed on ${step.protocol}, ${step.cipher}${alpn}`, durationText(step.tookMs));
  if (step.certificate === undefined) return [agreed];
  const { subject, issuer, until } = step.certificate;
  const trust = step.distrust === undefined ? 'trusted' : `NOT trusted, ${step.distrust}`;
  return [
    agreed,
    note(
      `certificate of ${subject}, issued by ${issuer}, until ${until}: ${trust}`,
      '',
      step.distrust === undefined ? 'dim' : 'red',
    ),
  ];
}

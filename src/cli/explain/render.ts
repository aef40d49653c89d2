import type { Paint } from '../../observe/format-pretty.ts';
import { bytesText, durationText } from '../../observe/units.ts';
import { clean, fit, INDENT, Page, rightOf } from './page.ts';
import type { Explanation, HeadSeen, Step } from './steps.ts';
import { phases } from './timing.ts';

/** The whole run as a page of at most 100 columns. Pure: the same run is the same text. */
export function render(run: Explanation, paint: Paint): string {
  const page = new Page(paint);
  const how = run.proxy.started === 'before' ? '' : ', a proxy started just for this request';
  page.line(paint('bold', fit(`${run.method} ${clean(run.url)}`)));
  page.line(paint('bold', fit(`${INDENT}through ${clean(run.proxy.url)}${how}`)));
  page.line('');
  page.line(
    paint('dim', `${INDENT}>  you to the proxy   <  the proxy to you   >> the proxy onwards   << back to the proxy`),
  );
  for (const [index, step] of run.steps.entries()) {
    page.chapter(step);
    writeStep(page, step, run, index);
  }
  writeTiming(page, run);
  return page.text();
}

function writeStep(page: Page, step: Step, run: Explanation, index: number): void {
  switch (step.kind) {
    case 'proxy-connected':
      page.note(`${step.from} to ${step.to}${step.over === 'tls' ? ', over TLS' : ''}`, durationText(step.ms));
      break;
    case 'head':
      writeHead(page, step, run, index);
      break;
    case 'decided':
      page.note(`rule "${step.rule}" ${step.verdict === 'allow' ? 'allows' : 'denies'} it`);
      break;
    case 'routed':
      page.note(`way: ${step.routes.join(', else ')}`);
      break;
    case 'dns':
      page.note(`${step.host} is ${step.addresses.join(', ') || 'unknown'}`, durationText(step.tookMs));
      break;
    case 'dialing':
      page.note(`attempt ${step.attempt}: ${step.address} port ${step.port}`);
      break;
    case 'attempt-failed':
      page.note(`${step.address} failed: ${step.reason}`, durationText(step.tookMs), 'red');
      break;
    case 'connected':
      page.note(`connected to ${step.address}`, durationText(step.tookMs));
      break;
    case 'tunnel-open':
      page.openTunnel();
      break;
    case 'client-hello': {
      page.wire(
        '>',
        `ClientHello, ${bytesText(step.bytes)}: name ${step.serverName ?? '(none)'}, ` +
          `ALPN ${step.alpn.join(', ') || '(none)'}, ${step.versions.join(' or ')}`,
      );
      page.note('this much the proxy can read, since it is in the clear; of all that follows only the length');
      break;
    }
    case 'tls':
      writeTls(page, step);
      break;
    case 'body':
      page.note(BODY_ENDS[step.ended](bytesText(step.bytes)));
      if (step.says !== undefined) page.note(`it says: ${step.says}`);
      break;
    case 'done': {
      const moved = `${bytesText(step.bytesUp)} up, ${bytesText(step.bytesDown)} down`;
      if (page.inTunnel) page.closeTunnel(`it carried ${moved}`);
      else page.note(`on the connection to the proxy: ${moved}`);
      break;
    }
    case 'failed':
      page.note(`${step.who}: ${step.what}`, '', 'red');
      if (step.advice !== undefined) page.note(step.advice, '', 'yellow');
      break;
  }
}

const BODY_ENDS = {
  complete: (size: string) => (size === '0 B' ? 'no body' : `a body of ${size}, complete`),
  cut: (size: string) => `the body broke off after ${size}`,
  enough: (size: string) => `${size} of the body read; more is coming, but this is enough to explain`,
} as const;

function writeHead(page: Page, head: HeadSeen, run: Explanation, index: number): void {
  const [start = '', ...fields] = head.lines;
  page.wire(head.mark, start, 'bold');
  for (const field of fields) page.wire(head.mark, field);
  page.wire(head.mark, '');
  for (const { field, scheme, says } of head.tokens ?? []) {
    page.note(`${field}${scheme === '' ? '' : `, ${scheme}`}, taken apart:`);
    for (const { name, value } of says) page.detail(`${name}: ${value}`);
  }
  if (head.role === 'connect') page.note('the blank line ends it; you send nothing more until the answer');
  // A proxy that runs elsewhere tells nothing about its work, and a gap without a word would look like none.
  const told = run.steps.slice(0, index).some(({ kind }) => kind === 'dialing' || kind === 'decided');
  const opened = head.role === 'connect-answer' && head.mark === '<' && head.status !== undefined && head.status < 300;
  if (opened && run.proxy.started === 'before' && !told) {
    page.note('how it found and reached the site, only that proxy knows');
  }
}

function writeTls(page: Page, step: Extract<Step, { kind: 'tls' }>): void {
  const alpn = step.alpn === undefined ? '' : `, ALPN ${step.alpn}`;
  page.note(`agreed on ${step.protocol}, ${step.cipher}${alpn}`, durationText(step.tookMs));
  if (step.certificate === undefined) return;
  const { subject, issuer, until } = step.certificate;
  page.note(
    `certificate of ${subject}, issued by ${issuer}, until ${until}: ` +
      (step.distrust === undefined ? 'trusted' : `NOT trusted, ${step.distrust}`),
    '',
    step.distrust === undefined ? 'dim' : 'red',
  );
}

const BAR_COLUMNS = 40;

function writeTiming(page: Page, run: Explanation): void {
  const left = '    Where the time went';
  page.line('');
  page.line(`${page.paint('bold', left)}${rightOf(left, `${durationText(run.totalMs)} in all`)}`);
  for (const { name, what, fromMs, toMs } of phases(run.steps)) {
    const scale = BAR_COLUMNS / Math.max(run.totalMs, 0.001);
    const from = Math.min(BAR_COLUMNS - 1, Math.floor(fromMs * scale));
    const length = Math.max(1, Math.min(BAR_COLUMNS - from, Math.round((toMs - fromMs) * scale)));
    const bar = `${'·'.repeat(from)}${'█'.repeat(length)}${'·'.repeat(BAR_COLUMNS - from - length)}`;
    const begin = `${INDENT}${name.padEnd(9)} ${bar}  ${what}`;
    page.line(
      `${INDENT}${name.padEnd(9)} ${page.paint('cyan', bar)}  ${what}${rightOf(begin, durationText(toMs - fromMs))}`,
    );
  }
}

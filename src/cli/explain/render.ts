import { printable } from '../../observe/escape.ts';
import type { Paint } from '../../observe/format-pretty.ts';
import { bytesText, durationText } from '../../observe/units.ts';
import { chapterOf } from './chapters.ts';
import { MASK } from './mask.ts';
import type { Explanation, HeadSeen, Mark, Step } from './steps.ts';
import { phases } from './timing.ts';

const WIDTH = 98;
const INDENT = '    ';

type Style = Parameters<Paint>[0];
const MARK_STYLE: Readonly<Record<Mark, Style>> = { '>': 'green', '>>': 'green', '<': 'cyan', '<<': 'cyan' };

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

/** Lines under numbered chapters, with a rail beside what is inside the tunnel. */
class Page {
  readonly paint: Paint;
  readonly #lines: string[] = [];
  #chapters = 0;
  #open = '';
  #rail = '';

  constructor(paint: Paint) {
    this.paint = paint;
  }

  line(text: string): void {
    this.#lines.push(text.trimEnd());
  }
  chapter(step: Step): void {
    const chapter = chapterOf(step);
    if (chapter === undefined || chapter.id === this.#open) return;
    this.#open = chapter.id;
    this.#chapters += 1;
    const left = `${String(this.#chapters).padStart(2)}  ${chapter.title}`;
    this.line('');
    this.line(`${this.paint('bold', left)}${this.paint('dim', rightOf(left, chapter.rfc))}`);
  }
  /** A wire line: a mark and what stands on the wire. */
  wire(mark: Mark, text: string, style?: Style): void {
    const room = WIDTH - INDENT.length - this.#rail.length - mark.length - 1;
    const shown = fit(clean(text), room);
    this.line(
      `${INDENT}${this.#rail}${this.paint(MARK_STYLE[mark], mark)} ${style === undefined ? shown : this.paint(style, shown)}`,
    );
  }
  /** A note of our own, as many lines as it takes, with a figure at the right edge of the first. */
  note(text: string, right = '', style: Style = 'dim'): void {
    const room = WIDTH - INDENT.length - this.#rail.length - 2 - (right === '' ? 0 : right.length + 2);
    for (const [index, shown] of wrap(clean(text), room).entries()) {
      const left = `${INDENT}${this.#rail}${index === 0 ? '* ' : '  '}`;
      const figure = index === 0 ? rightOf(`${left}${shown}`, right) : '';
      this.line(`${left}${this.paint(style, shown)}${this.paint('dim', figure)}`);
    }
  }
  openTunnel(): void {
    this.line(
      this.paint(
        'yellow',
        ruler('┌─ the tunnel begins: the proxy speaks no more HTTP here, it copies bytes both ways '),
      ),
    );
    this.#rail = '│ ';
  }
  closeTunnel(text: string): void {
    this.#rail = '';
    this.line(this.paint('yellow', ruler(`└─ the tunnel ends: ${text} `)));
  }
  get inTunnel(): boolean {
    return this.#rail !== '';
  }
  text(): string {
    return `${this.#lines.join('\n')}\n`;
  }
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

/** Spaces and then `right`, so that it ends at the edge. */
const rightOf = (left: string, right: string): string =>
  right === '' ? '' : `${' '.repeat(Math.max(2, WIDTH - left.length - right.length))}${right}`;

const fit = (text: string, columns: number = WIDTH): string =>
  text.length <= columns ? text : `${text.slice(0, columns - 1)}…`;

/** Broken at blanks; a word that is longer than a line is cut. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = '';
    }
    line = fit(line === '' ? word : `${line} ${word}`, columns);
  }
  return [...lines, line];
}

const ruler = (text: string): string =>
  `${INDENT}${text}${'─'.repeat(Math.max(0, WIDTH - INDENT.length - text.length))}`;

/** What came off a wire must not drive the terminal; our own mask may stay. */
const clean = (text: string): string => text.split(MASK).map(printable).join(MASK);

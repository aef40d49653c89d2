import type { Paint } from '../../observe/format-pretty.ts';
import { durationText } from '../../observe/units.ts';
import { clean, fit, INDENT, Page, rightOf } from './page.ts';
import { type StepLine, stepLines } from './step-lines.ts';
import type { Explanation } from './steps.ts';
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
    for (const line of stepLines(run, index)) writeLine(page, line);
  }
  writeTiming(page, run);
  return page.text();
}

function writeLine(page: Page, line: StepLine): void {
  switch (line.kind) {
    case 'wire':
      return page.wire(line.mark, line.text, line.weight === 'start-line' ? 'bold' : undefined);
    case 'note':
      return page.note(line.text, line.figure, line.tone);
    case 'detail':
      return page.detail(line.text);
    case 'tunnel-begins':
      return page.openTunnel();
    case 'tunnel-ends':
      return page.closeTunnel(line.text);
  }
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

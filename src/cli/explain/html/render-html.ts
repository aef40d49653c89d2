import { createHash } from 'node:crypto';
import { durationText } from '../../../observe/units.ts';
import { type Chapter, chapterOf, goesOn } from '../chapters.ts';
import { isInTunnel, type StepLine, stepLines } from '../step-lines.ts';
import type { Explanation, Step } from '../steps.ts';
import { phases } from '../timing.ts';
import { layers } from './layers.ts';
import { LESSONS } from './lessons.ts';
import { html, Markup, ours } from './markup.ts';
import { numbersOf, sequence } from './sequence.ts';
import { STYLE } from './style.ts';

/** Steps of one chapter, by their places in the run. */
interface Section {
  readonly chapter: Chapter | undefined;
  readonly steps: number[];
}

/**
 * The run as one page that needs nothing else: no script, no font, no picture from elsewhere, and a policy that would refuse
 * them. Pure: the same run is the same page.
 */
export function renderHtml(run: Explanation): string {
  const style = new Markup(STYLE);
  const hash = createHash('sha256').update(STYLE).digest('base64');
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
  const how = run.proxy.started === 'before' ? '' : ', a proxy started just for this request';
  const answer = run.outcome === 'answered' ? `answered ${run.status ?? ''}` : 'failed';
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${new Markup(policy.replaceAll('"', ''))}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${run.method} ${run.url}, explained</title>
<style>${style}</style>
</head>
<body>
<header>
<h1 class="mono">${run.method} ${run.url}</h1>
<p class="lead">through <span class="mono">${run.proxy.url}</span>${how}. <span class="outcome ${run.outcome}">${answer}</span> in ${durationText(run.totalMs)}.
Secrets are masked: the page can be passed on as it is.</p>
</header>
<main>
<h2>Who speaks with whom</h2>
<div class="wide" tabindex="0" role="region" aria-label="Sequence of messages">${sequence(run)}</div>
<h2>On which layer</h2>
${layers(run)}
<h2>The conversation</h2>
<ol class="chapters">
${conversation(run)}
</ol>
<h2>Where the time went</h2>
<div class="wide" tabindex="0" role="region" aria-label="Where the time went">${timing(run)}</div>
</main>
</body>
</html>
`.source;
}

function conversation(run: Explanation): Markup[] {
  const numbers = numbersOf(run.steps);
  return sectionsOf(run.steps).map(({ chapter, steps }, at) => {
    const inTunnel = steps.some((index) => isInTunnel(run.steps, index)) ? 'in-tunnel' : '';
    const talk = steps.map((index) => talkOf(run, index, numbers));
    if (chapter === undefined)
      return html`<li class="chapter"><div class="talk">${talk}</div></li>
`;
    const { text, code, file } = LESSONS[chapter.id];
    return html`<li class="chapter ${inTunnel}">
<h3><span class="count">${at + 1}</span> ${ours(chapter.title)}</h3>
<div class="talk">${talk}</div>
<div class="lesson"><p>${ours(text)}</p>
<pre tabindex="0"><code>${ours(code)}</code></pre>
<p>${rfcLinks(chapter.rfc)}</p>
<p class="file">In Viaduct: <code>src/${file}</code></p></div>
</li>
`;
  });
}

function sectionsOf(steps: readonly Step[]): Section[] {
  const sections: Section[] = [];
  for (const [index, step] of steps.entries()) {
    const chapter = chapterOf(step);
    const last = sections.at(-1);
    if (last !== undefined && (chapter === undefined || goesOn(last.chapter?.id, chapter))) last.steps.push(index);
    else sections.push({ chapter, steps: [index] });
  }
  return sections;
}

function talkOf(run: Explanation, index: number, numbers: ReadonlyMap<Step, number>): Markup {
  const step = run.steps[index];
  const number = step && numbers.get(step);
  const chip = number === undefined ? html`` : html`<span class="chip">${number}</span> `;
  const groups: Markup[] = [];
  let wires: Markup[] = [];
  const flush = (): void => {
    if (wires.length > 0) groups.push(html`<pre>${wires}</pre>`);
    wires = [];
  };
  for (const line of stepLines(run, index)) {
    if (line.kind === 'wire') wires.push(wireLine(line, wires.length === 0 ? chip : html``));
    else {
      flush();
      groups.push(otherLine(line, groups.length === 0 ? chip : html``));
    }
  }
  flush();
  return html`${groups}`;
}

function wireLine({ mark, text, weight }: Extract<StepLine, { kind: 'wire' }>, chip: Markup): Markup {
  const back = mark.startsWith('<') ? 'back' : '';
  const shown = weight === 'start-line' ? html`<span class="start">${text}</span>` : html`${text}`;
  return html`${chip}<span class="mark ${back}">${mark}</span> ${shown}
`;
}

function otherLine(line: Exclude<StepLine, { kind: 'wire' }>, chip: Markup): Markup {
  switch (line.kind) {
    case 'note':
      return html`<p class="note ${line.tone}">${chip}${line.figure === '' ? html`` : html`<span class="figure">${line.figure}</span>`}${line.text}</p>`;
    case 'detail':
      return html`<p class="note part">${line.text}</p>`;
    case 'tunnel-begins':
      return html`<p class="edge">The tunnel begins: the proxy speaks no more HTTP here, it copies bytes both ways.</p>`;
    case 'tunnel-ends':
      return html`<p class="edge">The tunnel ends: ${line.text}.</p>`;
  }
}

/** `RFC 9110 §9.3.6` leads to that section. */
function rfcLinks(rfc: string): Markup[] {
  return rfc.split(', ').flatMap((one, at) => {
    const [, number, section] = /^RFC (\d+)(?: \u00a7([\d.]+))?$/.exec(one) ?? [];
    if (number === undefined) return [];
    const anchor = section === undefined ? '' : `#section-${section}`;
    const comma = at === 0 ? '' : ', ';
    return [
      html`${comma}<a rel="noreferrer" href="https://www.rfc-editor.org/rfc/rfc${number}${anchor}">${ours(one)}</a>`,
    ];
  });
}

const BAR_FROM = 300;
const BAR_WIDTH = 560;
const BAR_ROW = 28;

function timing(run: Explanation): Markup {
  const found = phases(run.steps);
  const scale = BAR_WIDTH / Math.max(run.totalMs, 0.001);
  const height = 16 + found.length * BAR_ROW;
  return html`<svg viewBox="0 0 1000 ${height}" role="img" aria-label="Time of each phase">
${found.map(({ what, fromMs, toMs }, at) => {
  const y = 8 + at * BAR_ROW;
  const width = Math.max(2, (toMs - fromMs) * scale);
  const x = Math.min(BAR_FROM + fromMs * scale, BAR_FROM + BAR_WIDTH - 2);
  return html`<text class="phase" x="20" y="${y + 16}">${what}</text><rect class="bar-ground" x="${BAR_FROM}" y="${y + 10}" width="${BAR_WIDTH}" height="2"/><rect class="bar" x="${x}" y="${y + 4}" width="${Math.min(width, BAR_FROM + BAR_WIDTH - x)}" height="14" rx="2"/><text class="time" x="960" y="${y + 16}">${durationText(toMs - fromMs)}</text>
`;
})}</svg>`;
}

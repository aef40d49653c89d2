import { bytesText, durationText } from '../../../observe/units.ts';
import { clean, fit } from '../page.ts';
import type { Explanation, HeadStep, Step } from '../steps.ts';
import { html, type Markup, ours } from './markup.ts';

const WIDTH = 1000;
/** Left of the first party: the time of each message. */
const TIME_WIDTH = 70;
const TOP = 64;
const ROW = 38;
/** Advance of a character of the 12 px type that labels have. */
const CHAR_WIDTH = 7.3;

type Party = 'you' | 'proxy' | 'next' | 'site';
type Tone = 'http' | 'tcp' | 'tls' | 'bad';

/** One row of the picture, from the top down. */
type Row =
  | {
      readonly kind: 'message';
      readonly number: number;
      readonly from: Party;
      readonly to: Party;
      readonly label: string;
      readonly tone: Tone;
      readonly ms: number;
    }
  | {
      readonly kind: 'remark';
      readonly at: Party;
      readonly label: string;
      readonly tone: 'work' | 'bad';
      readonly ms: number;
    }
  | { readonly kind: 'tunnel-begins'; readonly label: string }
  | { readonly kind: 'tunnel-ends'; readonly label: string };

/** Numbers of the steps that are messages, as the picture and the conversation below it have them. */
export function numbersOf(steps: readonly Step[]): ReadonlyMap<Step, number> {
  const numbers = new Map<Step, number>();
  for (const step of steps) if (isMessage(step)) numbers.set(step, numbers.size + 1);
  return numbers;
}

const isMessage = ({ kind }: Step): boolean =>
  kind === 'proxy-connected' ||
  kind === 'head' ||
  kind === 'socks' ||
  kind === 'connected' ||
  kind === 'secured' ||
  kind === 'attempt-failed' ||
  kind === 'client-hello' ||
  kind === 'tls';

/** Whether the proxy went to another proxy, and not to the site itself. */
const hasNextProxy = (steps: readonly Step[]): boolean =>
  steps.some(
    (step) =>
      (step.kind === 'head' && step.mark === '>>' && step.role === 'connect') ||
      (step.kind === 'routed' && /:\/\//.test(step.routes[0] ?? '')),
  );

/** Who speaks with whom, as an SVG picture: time runs down. */
export function sequence(run: Explanation): Markup {
  const parties: readonly Party[] = hasNextProxy(run.steps)
    ? ['you', 'proxy', 'next', 'site']
    : ['you', 'proxy', 'site'];
  const rows = rowsOf(run, parties.includes('next') ? 'next' : 'site');
  const at = placesOf(parties);
  const height = TOP + rows.length * ROW + 24;
  return html`<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="sequence-title">
<title id="sequence-title">Sequence of ${rows.length} messages between you, the proxy and the site; the same messages are below as text</title>
${tunnelBand(rows, at, height)}
${parties.map(
  (party) => html`<line class="life" x1="${at[party]}" y1="${TOP - 18}" x2="${at[party]}" y2="${height - 12}"/>
<rect class="party" x="${at[party] - 78}" y="10" width="156" height="34" rx="6"/><text class="name" x="${at[party]}" y="32">${NAMES[party]}</text>`,
)}
${rows.map((row, index) => drawRow(row, TOP + index * ROW, at))}
</svg>`;
}

const NAMES: Readonly<Record<Party, string>> = {
  you: 'you',
  proxy: 'the proxy',
  next: 'the next proxy',
  site: 'the site',
};

type Places = Readonly<Record<Party, number>>;

function placesOf(parties: readonly Party[]): Places {
  const first = TIME_WIDTH + 90;
  const last = WIDTH - 90;
  const at: Record<Party, number> = { you: first, proxy: first, next: first, site: last };
  for (const [index, party] of parties.entries()) at[party] = first + ((last - first) * index) / (parties.length - 1);
  return at;
}

function rowsOf({ steps }: Explanation, beyond: Party): Row[] {
  const numbers = numbersOf(steps);
  let inTunnel = false;
  return steps.flatMap((step): Row[] => {
    if (step.kind === 'tunnel-open') inTunnel = true;
    return rowsOfStep(step, numbers.get(step) ?? 0, beyond, inTunnel);
  });
}

function rowsOfStep(step: Step, number: number, beyond: Party, inTunnel: boolean): Row[] {
  const { ms } = step;
  const message = (from: Party, to: Party, label: string, tone: Tone): Row => ({
    kind: 'message',
    number,
    from,
    to,
    label,
    tone,
    ms,
  });
  const remark = (at: Party, label: string, tone: 'work' | 'bad' = 'work'): Row => ({
    kind: 'remark',
    at,
    label,
    tone,
    ms,
  });
  switch (step.kind) {
    case 'proxy-connected':
      return [message('you', 'proxy', step.over === 'tls' ? 'TCP and TLS connection' : 'TCP connection', 'tcp')];
    case 'head':
      return [headRow(step, number, beyond)];
    case 'socks':
      return [
        message('you', 'proxy', `SOCKS CONNECT ${step.asked}`, 'http'),
        message('proxy', 'you', 'succeeded', 'http'),
      ];
    case 'decided':
      return [remark('proxy', `rule "${step.rule}": ${step.verdict}`, step.verdict === 'deny' ? 'bad' : 'work')];
    case 'routed':
      return [remark('proxy', `route: ${step.routes.join(', else ')}`)];
    case 'dns':
      return [remark('proxy', `${step.host} is ${step.addresses[0] ?? 'unknown'}`)];
    case 'attempt-failed':
      return [message('proxy', beyond, `${step.address || 'the address'}: ${step.reason}`, 'bad')];
    case 'connected':
      return [message('proxy', beyond, `TCP connection to ${step.address}`, 'tcp')];
    case 'secured':
      return [message('proxy', beyond, `TLS; inside ${step.speaks === 'h2' ? 'HTTP/2' : 'HTTP/1.1'}`, 'tls')];
    case 'tunnel-open':
      return [{ kind: 'tunnel-begins', label: 'the tunnel: from here on the proxy copies bytes, both ways' }];
    case 'client-hello':
      return [message('you', 'site', `ClientHello for ${step.serverName ?? 'no name'}, in the clear`, 'tls')];
    case 'tls':
      return [
        message(
          'site',
          'you',
          `${step.protocol} agreed${step.distrust === undefined ? '' : '; certificate NOT trusted'}`,
          step.distrust === undefined ? 'tls' : 'bad',
        ),
      ];
    case 'body':
      return [remark('you', step.bytes === 0 ? 'no body' : `${bytesText(step.bytes)} of body`)];
    case 'done':
      return inTunnel
        ? [
            {
              kind: 'tunnel-ends',
              label: `it carried ${bytesText(step.bytesUp)} up, ${bytesText(step.bytesDown)} down`,
            },
          ]
        : [];
    case 'failed':
      return [remark(step.who === 'you' ? 'you' : 'proxy', step.what, 'bad')];
    case 'dialing':
      return [];
  }
}

function headRow(
  { mark, through, lines, ms, status = 0 }: HeadStep & { readonly ms: number },
  number: number,
  beyond: Party,
): Row {
  const [label = ''] = lines;
  const tone = status >= 400 ? 'bad' : through === 'tls' ? 'tls' : 'http';
  const ends = through === 'hop' ? ENDS(beyond)[mark] : ENDS('site')[mark === '>' ? 'through>' : 'through<'];
  return { kind: 'message', number, from: ends[0], to: ends[1], label, tone, ms };
}

const ENDS = (beyond: Party) =>
  ({
    '>': ['you', 'proxy'],
    '<': ['proxy', 'you'],
    '>>': ['proxy', beyond],
    '<<': [beyond, 'proxy'],
    'through>': ['you', 'site'],
    'through<': ['site', 'you'],
  }) as const satisfies Record<string, readonly [Party, Party]>;

/** What the 200 has changed, as a ground behind the rows. */
function tunnelBand(rows: readonly Row[], at: Places, height: number): Markup {
  const from = rows.findIndex(({ kind }) => kind === 'tunnel-begins');
  if (from < 0) return html``;
  const end = rows.findIndex(({ kind }) => kind === 'tunnel-ends');
  const top = TOP + from * ROW;
  const bottom = end < 0 ? height - 16 : TOP + (end + 1) * ROW;
  return html`<rect class="band" x="${at.you - 14}" y="${top}" width="${at.site - at.you + 28}" height="${bottom - top}" rx="10"/>`;
}

function drawRow(row: Row, top: number, at: Places): Markup {
  if (row.kind === 'tunnel-begins' || row.kind === 'tunnel-ends') {
    return html`<text class="band-label" x="${(at.you + at.site) / 2}" y="${top + 23}">${row.label}</text>`;
  }
  const time = html`<text class="time" x="${TIME_WIDTH - 12}" y="${top + 27}">${durationText(row.ms)}</text>`;
  return html`<g>${time}${row.kind === 'remark' ? drawRemark(row, top, at) : drawMessage(row, top, at)}</g>
`;
}

function drawRemark({ at: party, label, tone }: Extract<Row, { kind: 'remark' }>, top: number, at: Places): Markup {
  const shown = fit(clean(label), 44);
  const width = shown.length * CHAR_WIDTH + 20;
  // Beside the edge it would be cut.
  const x = Math.max(TIME_WIDTH, Math.min(WIDTH - width - 4, at[party] - width / 2));
  return html`<rect class="remark ${tone}" x="${x}" y="${top + 6}" width="${width}" height="26" rx="4"/><text class="label" x="${x + width / 2}" y="${top + 23}">${ours(shown)}</text>`;
}

function drawMessage(
  { number, from, to, label, tone }: Extract<Row, { kind: 'message' }>,
  top: number,
  at: Places,
): Markup {
  const x1 = at[from];
  const x2 = at[to];
  const y = top + 28;
  const way = Math.sign(x2 - x1);
  const shown = fit(clean(label), Math.floor((Math.abs(x2 - x1) - 44) / CHAR_WIDTH));
  const head = `${x2},${y} ${x2 - way * 10},${y - 5} ${x2 - way * 10},${y + 5}`;
  return html`<g class="${tone}"><line class="arrow" x1="${x1}" y1="${y}" x2="${x2 - way * 9}" y2="${y}"/><polygon class="tip" points="${head}"/><circle class="number" cx="${x1}" cy="${y}" r="10"/><text class="digit" x="${x1}" y="${y + 4}">${number}</text><text class="label" x="${(x1 + x2) / 2}" y="${y - 7}">${ours(shown)}</text></g>`;
}

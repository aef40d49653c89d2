import type { Explanation } from '../steps.ts';
import { html, type Markup } from './markup.ts';

/** Of the protocols that lie on one another, those that each of the three works on. */
interface Stack {
  readonly you: readonly string[];
  readonly proxy: readonly string[];
  readonly site: readonly string[];
}

const WIDTH = 560;
const ROW = 40;
const COLUMN = 150;
const PLACES = { you: 10, proxy: (WIDTH - COLUMN) / 2, site: WIDTH - COLUMN - 10 } as const;
/** From the top down; a picture has the rows that it needs. */
const LEVELS = ['HTTP', 'TLS', 'TCP', 'IP'] as const;

/** On which layers the two ends and the proxy work, before the 200 and from then on. */
export function layers({ steps, proxy }: Explanation): Markup {
  const hasTunnel = steps.some(({ kind }) => kind === 'tunnel-open');
  const isTls = steps.some(({ kind }) => kind === 'tls' || kind === 'client-hello');
  const overTls = steps.some((step) => step.kind === 'proxy-connected' && step.over === 'tls');
  const asks = steps.some(({ kind }) => kind === 'socks') ? 'SOCKS' : 'HTTP';
  const hop = overTls ? [asks, 'TLS', 'TCP', 'IP'] : [asks, 'TCP', 'IP'];
  const inside = isTls ? ['HTTP', 'TLS', 'TCP', 'IP'] : ['HTTP', 'TCP', 'IP'];
  if (!hasTunnel) return html`<div class="pair">${withoutTunnel(steps, hop)}</div>`;
  const chain = steps.some((step) => step.kind === 'head' && step.mark === '>>' && step.role === 'connect')
    ? ' The next proxy, which the picture leaves out, does the same once more.'
    : '';
  const before = figure(
    `Until the ${asks === 'HTTP' ? '200' : 'answer'}`,
    { you: hop, proxy: hop, site: ['TCP', 'IP'] },
    `${asks} stands above TCP, as in any request: you and the proxy exchange messages. The site has seen no more than a TCP connection, from the proxy's address${proxy.started === 'before' ? ', as far as can be known from here' : ''}.`,
  );
  const after = figure(
    `From then on`,
    { you: inside, proxy: ['TCP', 'IP'], site: inside },
    `The proxy works on TCP alone: it takes bytes out of one connection and puts them into the other. These are two connections, each with its own ports, sequence numbers, windows and retransmissions; ${isTls ? 'TLS and HTTP' : 'HTTP'} ${isTls ? 'reach' : 'reaches'} from end to end.${chain}`,
  );
  return html`<div class="pair">${before}${after}</div>`;
}

/** A plain request, or one that was refused. */
function withoutTunnel(steps: Explanation['steps'], hop: readonly string[]): Markup {
  const asksForTunnel = steps.some(
    (step) => step.kind === 'socks' || (step.kind === 'head' && step.role === 'connect'),
  );
  const isPassedOn = steps.some((step) => step.kind === 'head' && step.mark === '>>' && step.role === 'request');
  const isReached = isPassedOn || steps.some(({ kind }) => kind === 'connected');
  if (asksForTunnel || !isReached) {
    const caption = `The proxy answers on the layer on which it was asked, and there ${asksForTunnel ? 'is no tunnel' : 'it ends'}: nothing that you sent has come to the site.`;
    return figure('For the whole request', { you: hop, proxy: hop, site: isReached ? ['TCP', 'IP'] : [] }, caption);
  }
  const caption =
    'The proxy works on HTTP: it reads every message, makes a new one and sends that on, over a second TCP connection of its own.';
  return figure('For the whole request', { you: hop, proxy: hop, site: ['HTTP', 'TCP', 'IP'] }, caption);
}

function figure(title: string, stack: Stack, caption: string): Markup {
  const rows = LEVELS.filter((level) =>
    Object.values(stack).some((layersOf: readonly string[]) => layersOf.some((layer) => levelOf(layer) === level)),
  );
  const height = 56 + rows.length * ROW + 26;
  return html`<figure><h3>${title}</h3><svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${title}: you work on ${stack.you.join(', ')}; the proxy on ${stack.proxy.join(', ')}; the site on ${stack.site.join(', ') || 'none'}">
${(['you', 'proxy', 'site'] as const).map(
  (who) => html`<text class="name" x="${PLACES[who] + COLUMN / 2}" y="30">${who === 'you' ? 'you' : `the ${who}`}</text>
${stack[who].map((layer) => box(layer, PLACES[who], 48 + rows.indexOf(levelOf(layer)) * ROW))}`,
)}
${rows.map((level, at) => links(level, stack, 48 + at * ROW + (ROW - 6) / 2))}
<text class="time middle" x="${WIDTH / 2}" y="${height - 8}">${stack.site.length === 0 ? 'one TCP connection, which ends in the proxy' : 'two TCP connections, which meet in the proxy'}</text>
</svg><figcaption>${caption}</figcaption></figure>`;
}

const levelOf = (layer: string): (typeof LEVELS)[number] => LEVELS.find((level) => level === layer) ?? 'HTTP';

const box = (layer: string, x: number, y: number): Markup =>
  html`<rect class="layer ${levelOf(layer).toLowerCase()}" x="${x}" y="${y}" width="${COLUMN}" height="${ROW - 6}" rx="4"/><text class="layer-name" x="${x + COLUMN / 2}" y="${y + 22}">${layer}</text>`;

/** A line between two that speak a layer with one another: past the proxy where it does not take part. */
function links(level: (typeof LEVELS)[number], stack: Stack, y: number): Markup {
  const has = (who: keyof Stack): boolean => stack[who].some((layer) => levelOf(layer) === level);
  const line = (from: number, to: number): Markup =>
    html`<line class="link ${level.toLowerCase()}" x1="${from}" y1="${y}" x2="${to}" y2="${y}"/>`;
  const { you, proxy, site } = PLACES;
  if (has('you') && has('site') && !has('proxy')) return line(you + COLUMN, site);
  return html`${has('you') && has('proxy') ? line(you + COLUMN, proxy) : html``}${has('proxy') && has('site') ? line(proxy + COLUMN, site) : html``}`;
}

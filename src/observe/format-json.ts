import type { ProxyRecord } from '../core/record.ts';
import type { Route } from '../core/stages.ts';
import { formatAuthority } from '../protocol/authority.ts';
import { cut, jsonLine, publicUrl } from './escape.ts';

/** `direct`, or the hops nearest first: `http://proxy.corp:8080`. */
export const routeText = (route: Route): string =>
  route.via === 'direct'
    ? 'direct'
    : route.hops.map(({ scheme, proxy }) => `${scheme}://${formatAuthority(proxy)}`).join(' ');

/**
 * One object per line. The names are a promise to log pipelines: they are added to, never renamed or reused.
 * `time` is the start, in UTC; `ms` and `stages` are milliseconds; `up` is from the client, `down` is to it.
 * What is unknown is absent, not null.
 */
export function jsonRecord(record: ProxyRecord): string {
  const { client, target, url, route, limits } = record;
  return `{"time":"${record.startedAt.toISOString()}","type":"request"${[
    text('id', record.id),
    text('kind', record.kind),
    text('client', client.address),
    number('clientPort', client.port),
    text('listener', client.listener),
    text('user', record.principal),
    text('method', record.method),
    text('target', target && formatAuthority(target)),
    text('url', url && publicUrl(url)),
    text('protocol', `HTTP/${record.protocol}`),
    text('userAgent', record.userAgent),
    text('rule', record.rule),
    text('wouldDeny', record.wouldDeny),
    text('wouldAllow', record.wouldAllow),
    limits.length > 0 ? `,"limits":${jsonLine(limits)}` : '',
    text('route', route && routeText(route)),
    text('address', record.address),
    number('status', record.status),
    text('failure', record.failure),
    text('detail', record.detail),
    text('end', record.end),
    number('bytesUp', record.bytesUp),
    number('bytesDown', record.bytesDown),
    number('ms', tenths(record.durationMs)),
    number('rate', bytesPerSecond(record)),
  ].join('')},"stages":{${stages(record.stageMs)}}}`;
}

/** Nearly every value needs no escape, and then the quotes are all that JSON.stringify would add. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

const text = (name: string, value: string | undefined): string => {
  if (value === undefined) return '';
  const shown = cut(value);
  return PLAIN.test(shown) ? `,"${name}":"${shown}"` : `,"${name}":${jsonLine(shown)}`;
};

const number = (name: string, value: number): string => `,"${name}":${value}`;

/** Stages that took less than a twentieth of a millisecond say nothing. */
function stages(stageMs: ProxyRecord['stageMs']): string {
  let said = '';
  for (const [stage, ms] of Object.entries(stageMs)) {
    const shown = tenths(ms);
    if (shown > 0) said += `${said === '' ? '' : ','}"${stage}":${shown}`;
  }
  return said;
}

/** Of both directions together, over the whole request. */
const bytesPerSecond = ({ bytesUp, bytesDown, durationMs }: ProxyRecord): number =>
  durationMs > 0 ? Math.round(((bytesUp + bytesDown) / durationMs) * 1000) : 0;

const tenths = (ms: number): number => Math.round(ms * 10) / 10;

/** What stands in the log where lines are missing. */
export const jsonDropped = (lines: number, at: Date): string =>
  jsonLine({ time: at.toISOString(), type: 'dropped', lines });

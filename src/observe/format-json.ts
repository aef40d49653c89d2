import { type ProxyRecord, TIMED_STEPS } from '../contracts/record.ts';
import { formatAuthority } from '../protocol/addresses/authority.ts';
import { cut, jsonLine, publicUrl } from './escape.ts';
import { protocolText, routeText } from './record-text.ts';

/**
 * One object per line. The names are a promise to log pipelines: they are added to, never renamed or reused.
 * `time` is the start, in UTC; `durationMs` and `timings` are milliseconds; `up` is from the client, `down` is to it.
 * What is unknown is absent, not null.
 */
export function jsonRecord(record: ProxyRecord): string {
  const { client, target, url, route, limits } = record;
  return (
    `{"time":"${isoTime(record.startedAt.getTime())}","type":"request"` +
    text('id', record.id) +
    kind.of(record.kind) +
    clientAddress.of(client.address) +
    number('clientPort', client.port) +
    listener.of(client.listener) +
    user.of(record.principal) +
    method.of(record.method) +
    targetField.of(target && formatAuthority(target)) +
    text('url', url && publicUrl(url)) +
    protocol.of(protocolText(record.protocol)) +
    text('tls', client.tls?.version) +
    userAgent.of(record.userAgent) +
    text('traceId', record.traceId) +
    rule.of(record.rule) +
    text('wouldDeny', record.wouldDeny) +
    text('wouldAllow', record.wouldAllow) +
    (limits.length > 0 ? `,"limits":${jsonLine(limits)}` : '') +
    routeField.of(route && routeText(route)) +
    upstreamAddress.of(record.address) +
    number('status', record.status) +
    text('failure', record.failure) +
    text('detail', record.detail) +
    end.of(record.end) +
    number('bytesUp', record.bytesUp) +
    number('bytesDown', record.bytesDown) +
    tenths('durationMs', record.durationMs) +
    number('bytesPerSecond', bytesPerSecond(record)) +
    `,"timings":{${timings(record.timings)}}}`
  );
}

let second = Number.NaN;
let secondText = '';

/** ISO 8601 in UTC, with milliseconds. The front is made once a second: a busy proxy needs thousands of the same. */
function isoTime(wallMs: number): string {
  const now = Math.floor(wallMs / 1000);
  if (now !== second) {
    second = now;
    secondText = new Date(now * 1000).toISOString().slice(0, -'000Z'.length);
  }
  return `${secondText}${String(wallMs - now * 1000).padStart(3, '0')}Z`;
}

/** Nearly every value needs no escape, and then the quotes are all that JSON.stringify would add. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

const text = (name: string, value: string | undefined): string => {
  if (value === undefined) return '';
  const shown = cut(value);
  return PLAIN.test(shown) ? `,"${name}":"${shown}"` : `,"${name}":${jsonLine(shown)}`;
};

/** A field that mostly has the value that it had in the line before: then its text is there already. */
class RepeatedField {
  readonly #name: string;
  #value: string | undefined;
  #text = '';

  constructor(name: string) {
    this.#name = name;
  }

  of(value: string | undefined): string {
    if (value === this.#value) return this.#text;
    this.#value = value;
    this.#text = text(this.#name, value);
    return this.#text;
  }
}

const kind = new RepeatedField('kind');
const clientAddress = new RepeatedField('client');
const listener = new RepeatedField('listener');
const user = new RepeatedField('user');
const method = new RepeatedField('method');
const targetField = new RepeatedField('target');
const protocol = new RepeatedField('protocol');
const userAgent = new RepeatedField('userAgent');
const rule = new RepeatedField('rule');
const routeField = new RepeatedField('route');
const upstreamAddress = new RepeatedField('upstreamAddress');
const end = new RepeatedField('end');

const number = (name: string, value: number): string => `,"${name}":${value}`;

/** Steps that took less than a twentieth of a millisecond are left out. */
function timings(stepMs: ProxyRecord['timings']): string {
  let fields = '';
  for (const step of TIMED_STEPS) {
    const ms = stepMs[step];
    if (ms !== undefined && ms >= 0.05) fields += tenths(step, ms);
  }
  return fields.slice(1);
}

/** Of both directions together, over the whole request. */
const bytesPerSecond = ({ bytesUp, bytesDown, durationMs }: ProxyRecord): number =>
  durationMs > 0 ? Math.round(((bytesUp + bytesDown) / durationMs) * 1000) : 0;

/** In whole tenths: to print any other fraction takes longer than the rest of the line. */
function tenths(name: string, value: number): string {
  const all = Math.round(value * 10);
  const rest = all % 10;
  return rest === 0 ? `,"${name}":${all / 10}` : `,"${name}":${(all - rest) / 10}.${rest}`;
}

/** What stands in the log where lines are missing. */
export const jsonDropped = (lines: number, at: Date): string =>
  jsonLine({ time: at.toISOString(), type: 'dropped', lines });

import type { Row } from '../api/shape.ts';
import { targetText } from './columns.ts';
import { bytesText } from './units.ts';

export interface Step {
  /** Places of the participants, from the left. */
  readonly from: number;
  readonly to: number;
  readonly text: string;
  readonly kind: 'request' | 'response' | 'bytes' | 'failure';
}

export interface Sequence {
  /** The client, this proxy, the upstream proxies, the target. */
  readonly participants: readonly string[];
  readonly steps: readonly Step[];
}

const OWN = 1;
const BEFORE_DIALING = new Set(['identify', 'admit', 'route']);

/** Who talked to whom for a request, as far as its record says. */
export function sequenceOf(row: Row): Sequence {
  const proxies = proxiesOf(row.route);
  const isLocal = row.kind === 'local';
  const participants = [row.clientName ?? row.client, 'Viaduct', ...proxies, ...(isLocal ? [] : [targetText(row)])];
  const steps: Step[] = [{ from: 0, to: OWN, text: requestText(row), kind: 'request' }];
  const target = participants.length - 1;
  if (!isLocal && row.route !== undefined && !BEFORE_DIALING.has(row.state)) {
    for (let at = OWN; at < target; at++)
      steps.push({ from: at, to: at + 1, text: hopText(row, at + 1 === target, at > OWN), kind: 'request' });
  }
  steps.push(...responseSteps(row));
  if (row.bytesUp + row.bytesDown > 0) {
    const text = `↑ ${bytesText(row.bytesUp)}  ↓ ${bytesText(row.bytesDown)}`;
    steps.push({ from: 0, to: target, text, kind: 'bytes' });
  }
  return { participants, steps };
}

const proxiesOf = (route: string | undefined): string[] =>
  route === undefined || route.startsWith('direct')
    ? []
    : route.split(/\s+/).map((part) => part.replace(/^http:\/\//, ''));

const requestText = (row: Row): string =>
  row.kind === 'tunnel' ? `CONNECT ${targetText(row)}` : `${row.method ?? 'GET'} ${row.url ?? row.target}`;

function hopText(row: Row, isLast: boolean, isByProxy: boolean): string {
  if (!isLast) return row.kind === 'tunnel' ? `CONNECT ${targetText(row)}` : requestText(row);
  if (isByProxy) return 'connects';
  return row.address === undefined ? 'connects' : `connects to ${row.address}`;
}

function responseSteps(row: Row): Step[] {
  if (row.failure !== undefined) {
    const status = row.status === undefined || row.status === 0 ? 'closed' : String(row.status);
    return [{ from: OWN, to: 0, text: `${status} ${row.failure}`, kind: 'failure' }];
  }
  if (row.status === undefined || row.status === 0) return [];
  const text = row.kind === 'tunnel' && row.status === 200 ? '200 Connection established' : String(row.status);
  return [{ from: OWN, to: 0, text, kind: 'response' }];
}

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { offers } from '../api/offers.ts';
import { request } from '../api/request.ts';
import type { Row, StepPart } from '../api/shape.ts';
import { ageMs, clientText, stateText, targetText } from '../model/columns.ts';
import { sequenceOf } from '../model/hops.ts';
import { findRow, proxyNowMs } from '../model/state.ts';
import { bytesText, clockText, durationText, rateText } from '../model/units.ts';
import { copyText } from '../ui/handing-over.ts';
import { Empty } from '../ui/loaded.tsx';
import { notify } from '../ui/notice.tsx';
import { Facts, Panel } from '../ui/panel.tsx';
import { SequencePicture } from '../ui/sequence.tsx';
import { endOne } from './ending.ts';

const STEPS = ['identify', 'admit', 'route', 'connect', 'wait', 'relay'] as const;

const STEP_TEXT: Readonly<Record<string, string>> = {
  identify: 'who the client is',
  admit: 'rules and limits',
  route: 'choice of the route',
  connect: 'until the target is connected',
  wait: 'until the head of the response',
  relay: 'bytes move',
};

/** One request: what is known of it, where its time went, and who talked to whom. */
export function RequestView({ id }: { readonly id: string }) {
  const row = findRow(id);
  if (row === undefined)
    return (
      <Empty>
        This request is not known any more: the page keeps the last 500 that ended. <a href="#/live">All requests</a>
      </Empty>
    );
  return (
    <>
      <div class="toolbar">
        <a href="#/live">← All requests</a>
        <span class="spring" />
        <button type="button" onClick={() => void copy(row)}>
          Copy the record
        </button>
        {row.state !== 'closed' && (
          <button type="button" class="danger" onClick={() => void endOne(row)}>
            End it
          </button>
        )}
      </div>
      <Summary row={row} />
      <div class="panels">
        <Panel title="Where the time went">
          <Waterfall row={row} />
        </Panel>
        <Panel title="Who talked to whom">
          <SequencePicture of={sequenceOf(row)} />
        </Panel>
      </div>
      <Panel title="Record">
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, which the keyboard must be able to do. */}
        <pre class="record" tabIndex={0}>
          {JSON.stringify(row, null, 2)}
        </pre>
      </Panel>
    </>
  );
}

async function copy(row: Row): Promise<void> {
  const isDone = await copyText(JSON.stringify(row, null, 2));
  notify(isDone ? 'The record is in the clipboard.' : 'The browser does not allow it: select the record below.');
}

function Summary({ row }: { readonly row: Row }) {
  const client = `${clientText(row)}${row.clientName === undefined ? '' : ` (${row.client})`}`;
  const facts = [
    ['State', <span class={row.failure === undefined ? '' : 'bad'}>{stateText(row)}</span>],
    ['Detail', row.detail],
    ['Status', row.status === 0 ? undefined : row.status],
    ['Client', row.clientPort === undefined ? client : `${client}, port ${row.clientPort}`],
    ['User', row.user],
    ['Listener', row.listener],
    ['Protocol', row.tls === undefined ? row.protocol : `${row.protocol}, ${row.tls}`],
    ['URL', row.url],
    ['Rule', row.rule],
    ['Route', row.route],
    ['Address', row.address],
    ['Limits', row.limits?.join(', ')],
    ['Held back by', row.heldBy],
    ['Started', clockText(row.startedAt)],
    [row.state === 'closed' ? 'Lived' : 'Age', durationText(ageMs(row, proxyNowMs.value))],
    ['Sent by the client', `${bytesText(row.bytesUp)}${row.rateUp > 0 ? `, ${rateText(row.rateUp)}` : ''}`],
    ['Received by it', `${bytesText(row.bytesDown)}${row.rateDown > 0 ? `, ${rateText(row.rateDown)}` : ''}`],
  ] as const;
  return (
    <section class="panel" aria-label="Summary">
      <h1 class="request-title">
        {row.kind === 'tunnel' ? 'CONNECT' : (row.method ?? row.kind)} {targetText(row)}
      </h1>
      <Facts of={facts} look="facts wide" />
    </section>
  );
}

const PART_TEXT: Readonly<Record<StepPart['what'], string>> = {
  pac: 'PAC',
  dns: 'DNS',
  dial: 'connected',
  'dial-failed': 'not connected',
  tls: 'TLS',
  'route-failed': 'route failed',
  'first-byte': 'first byte',
};

/** What the steps consisted of, read anew when the request goes on to another step. */
function useParts({ id, state }: Row): readonly StepPart[] {
  const parts = useSignal<readonly StepPart[]>([]);
  useEffect(() => {
    const read = async () => {
      if ((await offers('tunnels/{id}/steps')) !== 'yes') return;
      parts.value = (
        await request<{ steps: readonly StepPart[] }>('GET', `tunnels/${encodeURIComponent(id)}/steps`)
      ).steps;
    };
    // The steps are there without their parts.
    read().catch(() => undefined);
  }, [id, state]);
  return parts.value;
}

/** Steps one below the other, on the time before the relay; the relay would press all others into nothing. */
function Waterfall({ row }: { readonly row: Row }) {
  const parts = useParts(row);
  const timings = row.timings ?? {};
  const steps = STEPS.flatMap((name) => {
    const ms = timings[name];
    return ms === undefined ? [] : [{ name, ms }];
  });
  if (steps.length === 0) return <Empty>No step has ended yet.</Empty>;
  const before = steps.filter(({ name }) => name !== 'relay').reduce((sum, { ms }) => sum + ms, 0) || 1;
  let start = 0;
  return (
    <div class="waterfall">
      {steps.map(({ name, ms }) => {
        const left = name === 'relay' ? 0 : (100 * start) / before;
        const width = name === 'relay' ? 100 : (100 * ms) / before;
        start += ms;
        return [
          <span key={name} title={STEP_TEXT[name]}>
            {name} <span class="muted wide-only">{STEP_TEXT[name]}</span>
          </span>,
          <span key={`${name} ms`} class="ms">
            {durationText(ms)}
          </span>,
          <div
            key={`${name} bar`}
            class={`span ${name}`}
            style={{ marginLeft: `${Math.min(left, 99)}%`, width: `${Math.min(width, 100 - Math.min(left, 99))}%` }}
          />,
        ];
      })}
      {parts.map(({ what, about, startMs, ms }) => {
        const left = Math.min((100 * startMs) / before, 99);
        return [
          <span key={`${what} ${startMs}`} class={what.endsWith('failed') ? 'bad' : 'muted'}>
            {PART_TEXT[what]} {about}
          </span>,
          <span key={`${what} ${startMs} ms`} class="ms">
            {what === 'first-byte' ? `after ${durationText(startMs)}` : durationText(ms)}
          </span>,
          <div
            key={`${what} ${startMs} bar`}
            class="span part"
            style={{ marginLeft: `${left}%`, width: `${Math.min((100 * ms) / before, 100 - left)}%` }}
          />,
        ];
      })}
    </div>
  );
}

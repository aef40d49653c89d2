import { targetText } from '../model/columns.ts';
import { counters, rows } from '../model/state.ts';
import { bytesText, countText, durationText, rateText } from '../model/units.ts';
import { ThroughputChart } from '../ui/chart.tsx';
import { Empty } from '../ui/loaded.tsx';
import { BarList, Panel } from '../ui/panel.tsx';
import { linkToRequest, linkToRows } from '../ui/place.ts';

const BUSIEST = 8;
/** Above this an event loop is late for every request at once. */
const LOOP_DELAY_MS_HIGH = 50;

/** What goes on at this moment. Every number leads to the rows behind it. */
export function Now() {
  const now = counters.value;
  if (now === undefined) return <Empty>No figures have come yet.</Empty>;
  const held = Object.values(now.heldBy).reduce((sum, count) => sum + count, 0);
  return (
    <>
      <div class="figures">
        <Figure
          name="To clients"
          text={rateText(now.rateDown)}
          note={`${bytesText(now.bytesDown)} so far`}
          href={linkToRows('', 'open', 'rateDown')}
        />
        <Figure
          name="From clients"
          text={rateText(now.rateUp)}
          note={`${bytesText(now.bytesUp)} so far`}
          href={linkToRows('', 'open', 'rateUp')}
        />
        <Figure
          name="Open"
          text={countText(now.open)}
          note="tunnels and requests"
          href={linkToRows('', 'open', 'age')}
        />
        <Figure
          name="Requests"
          text={`${now.requestsPerSecond.toFixed(now.requestsPerSecond < 10 ? 1 : 0)} /s`}
          note="begun"
        />
        <Figure
          name="Held back"
          text={countText(held)}
          note="by a limit now"
          tone={held > 0 ? 'warn' : ''}
          href={linkToRows('held back', 'open', 'rateDown')}
        />
        <Figure
          name="Event-loop delay"
          text={durationText(now.loopDelayMs)}
          note={now.loopDelayMs > LOOP_DELAY_MS_HIGH ? 'high: the machine is busy' : 'fine'}
          tone={now.loopDelayMs > LOOP_DELAY_MS_HIGH ? 'warn' : ''}
        />
      </div>
      <Panel title="Throughput">
        <ThroughputChart />
      </Panel>
      <div class="panels">
        <Panel title="Busiest now">
          <Busiest />
        </Panel>
        <Panel title="Failures by reason, since the start">
          <Counted of={now.failures} none="Nothing has failed." tone="bad-fill" shows="all" />
        </Panel>
        <Panel title="Held back by limits">
          <Counted of={now.heldBy} none="No limit holds anything back." tone="warn-fill" shows="open" />
        </Panel>
      </div>
    </>
  );
}

function Figure(props: {
  readonly name: string;
  readonly text: string;
  readonly note: string;
  readonly tone?: string;
  readonly href?: string;
}) {
  const space = props.text.indexOf(' ');
  const content = (
    <>
      <span class="muted">{props.name}</span>
      <span class={`value ${props.tone ?? ''}`}>
        {space < 0 ? props.text : props.text.slice(0, space)}
        {space >= 0 && <span class="unit">{props.text.slice(space + 1)}</span>}
      </span>
      <span class="muted cut">{props.note}</span>
    </>
  );
  if (props.href === undefined) return <div>{content}</div>;
  return <a href={props.href}>{content}</a>;
}

function Busiest() {
  const busiest = rows.value.live
    .map((row) => ({ row, rate: row.rateUp + row.rateDown }))
    .filter(({ rate }) => rate > 0)
    .sort((a, b) => b.rate - a.rate)
    .slice(0, BUSIEST);
  if (busiest.length === 0) return <Empty>Nothing moves.</Empty>;
  return (
    <BarList
      tone=""
      items={busiest.map(({ row, rate }) => ({
        key: row.id,
        name: targetText(row),
        value: rate,
        text: rateText(rate),
        href: linkToRequest(row.id),
      }))}
    />
  );
}

function Counted(props: {
  readonly of: Readonly<Record<string, number>>;
  readonly none: string;
  readonly tone: string;
  readonly shows: 'open' | 'all';
}) {
  const counted = Object.entries(props.of)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a);
  if (counted.length === 0) return <Empty>{props.none}</Empty>;
  return (
    <BarList
      tone={props.tone}
      items={counted.map(([name, count]) => ({
        key: name,
        name,
        value: count,
        text: countText(count),
        href: linkToRows(name, props.shows),
      }))}
    />
  );
}

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { request } from '../api/request.ts';
import { useResource } from '../api/resource.ts';
import type { Limit } from '../api/shape.ts';
import { counters } from '../model/state.ts';
import { bytesText, countText, parseRate, rateText } from '../model/units.ts';
import { ThroughputChart } from '../ui/chart.tsx';
import { Empty, Loaded } from '../ui/loaded.tsx';
import { attempt } from '../ui/notice.tsx';
import { Panel } from '../ui/panel.tsx';
import { linkToRows } from '../ui/place.ts';

const READ_MS = 2_000;
/** The slider moves over powers of two, from 16 KiB/s to 1 GiB/s: rates differ by factors. */
const POWER_MIN = 14;
const POWER_MAX = 30;
const POWER_STEP = 0.25;
const FULL = 0.9;

/** Limits with their fill; the rate of a bandwidth limit can be set. */
export function Limits() {
  const limits = useResource<{ limits: readonly Limit[] }>('limits', READ_MS);
  return (
    <>
      <Panel title="Throughput">
        <ThroughputChart />
      </Panel>
      <Loaded of={limits} what="The limits">
        {({ limits: all }) =>
          all.length === 0 ? (
            <Empty>No limit is configured (limits: in the configuration).</Empty>
          ) : (
            <div class="panels">
              {all.map((limit) => (
                <LimitPanel key={limit.name} limit={limit} onSet={() => limits.refresh()} />
              ))}
            </div>
          )
        }
      </Loaded>
    </>
  );
}

function LimitPanel({ limit, onSet }: { readonly limit: Limit; readonly onSet: () => Promise<void> }) {
  const held = counters.value?.heldBy[limit.name] ?? 0;
  const passing = usePassing(limit);
  return (
    <Panel title={limit.name}>
      <p class="muted">
        {limit.kind}
        {limit.per !== undefined && ` per ${limit.per}`}
        {limit.direction !== undefined && limit.direction !== 'both' && `, ${limit.direction}`}
        {limit.priority === 'background' && ', in the background'}
        {limit.burst !== undefined && `, burst ${bytesOrCount(limit, limit.burst)}`}
      </p>
      <Gauge limit={limit.level === undefined && limit.per === 'proxy' ? withLevel(limit, passing) : limit} />
      <p>
        {limit.active !== undefined && `${countText(limit.active)} active`}
        {limit.waiting !== undefined && `, ${countText(limit.waiting)} waiting`}
        {limit.refused !== undefined && `, ${countText(limit.refused)} refused`}
        {passing !== undefined && `, ${rateText(passing)} now`}
        {held > 0 && (
          <>
            {' · '}
            <a href={linkToRows(limit.name, 'open')}>holds back {countText(held)}</a>
          </>
        )}
      </p>
      {limit.kind === 'bandwidth' && <RateControl limit={limit} onSet={onSet} />}
      {limit.kind === 'requests' && limit.rate !== undefined && <p>{limit.rate} requests a second</p>}
    </Panel>
  );
}

/** Bytes per second that passed under it between the last two looks. */
function usePassing(limit: Limit): number | undefined {
  const last = useRef<{ limit: Limit; atMs: number; rate: number | undefined } | undefined>(undefined);
  if (limit.bytes === undefined) return undefined;
  const before = last.current;
  if (before?.limit === limit) return before.rate;
  const atMs = performance.now();
  const rate =
    before?.limit.bytes === undefined ? undefined : ((limit.bytes - before.limit.bytes) * 1_000) / (atMs - before.atMs);
  last.current = { limit, atMs, rate };
  return rate;
}

/** A rate has no fill of its own: what passes, as a part of what may. */
function withLevel(limit: Limit, passing: number | undefined): Limit {
  const rate = limit.rate === undefined ? undefined : parseRate(limit.rate);
  return passing === undefined || !rate ? limit : { ...limit, level: passing / rate };
}

const bytesOrCount = (limit: Limit, value: number | string): string =>
  typeof value === 'string' ? value : limit.kind === 'requests' ? countText(value) : bytesText(value);

/** How much of it is used. */
function Gauge({ limit }: { readonly limit: Limit }) {
  const { used, max, level, kind } = limit;
  const share = level ?? (used !== undefined && max ? used / max : undefined);
  if (share === undefined) return null;
  const percent = Math.round(100 * Math.max(0, Math.min(1, share)));
  const show = kind === 'quota' ? bytesText : countText;
  const text = used !== undefined && max !== undefined ? `${show(used)} of ${show(max)}` : `${percent} % in use`;
  return (
    <>
      {/* biome-ignore lint/a11y/useSemanticElements: the inside of a <meter> has no common way to be drawn. */}
      <div
        class="track"
        role="meter"
        aria-label={`${limit.name}, in use`}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent}
        aria-valuetext={text}
      >
        <div class={`fill ${share >= FULL ? 'warn-fill' : ''}`} style={{ width: `${percent}%` }} />
      </div>
      <p class={share >= FULL ? 'warn' : 'muted'}>
        {text}
        {share >= FULL && (share >= 1 ? ', at its limit' : ', close to its limit')}
      </p>
    </>
  );
}

/** The rate by slider or as text. What the reader holds is not overwritten by what is read meanwhile. */
function RateControl({ limit, onSet }: { readonly limit: Limit; readonly onSet: () => Promise<void> }) {
  const current = limit.rate === undefined ? undefined : parseRate(limit.rate);
  const held = useSignal<number | undefined>(undefined);
  const typed = useSignal<string | undefined>(undefined);
  const rate = held.value ?? current;
  useEffect(() => {
    held.value = undefined;
  }, [current]);

  const set = (wanted: number) =>
    attempt('Setting the limit', async () => {
      await request('PUT', `limits/${encodeURIComponent(limit.name)}`, { rate: wanted });
      await onSet();
      return `${limit.name} is ${rateText(wanted)} now, until a reload changes it.`;
    }).finally(() => {
      held.value = undefined;
      typed.value = undefined;
    });
  const submit = (event: Event) => {
    event.preventDefault();
    const wanted = typed.value === undefined ? rate : parseRate(typed.value);
    if (wanted === undefined || wanted <= 0)
      void attempt('Setting the limit', async () => Promise.reject(new Error('that is no rate; 512KiB is one')));
    else void set(wanted);
  };
  const power = rate === undefined ? POWER_MAX : Math.log2(Math.max(1, rate));
  return (
    <form class="limit-rate" onSubmit={submit}>
      <input
        type="range"
        aria-label={`Rate of ${limit.name}`}
        aria-valuetext={rate === undefined ? 'unlimited' : rateText(rate)}
        min={POWER_MIN}
        max={POWER_MAX}
        step={POWER_STEP}
        value={Math.max(POWER_MIN, Math.min(POWER_MAX, power))}
        onInput={(event) => {
          typed.value = undefined;
          held.value = Math.round(2 ** Number(event.currentTarget.value));
        }}
        onChange={(event) => void set(Math.round(2 ** Number(event.currentTarget.value)))}
      />
      <input
        type="text"
        aria-label={`Rate of ${limit.name} as text`}
        value={typed.value ?? (rate === undefined ? '' : rateText(rate))}
        autocomplete="off"
        onInput={(event) => {
          typed.value = event.currentTarget.value;
        }}
      />
    </form>
  );
}

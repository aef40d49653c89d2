import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { HISTORY_POINTS, type Point } from '../model/history.ts';
import { theme } from '../model/preferences.ts';
import { counters, history } from '../model/state.ts';
import { rateText } from '../model/units.ts';

const AXIS_PX = 78;
/** Powers of two, as the units are. */
const STEPS = Array.from({ length: 48 }, (_, power) => 2 ** power);
const LEAST_TOP = 4 * 1024;
const LEAST_SECONDS = 60;

/** Throughput of the last five minutes. Under the pointer its head shows the values of that moment. */
export function ThroughputChart() {
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const under = useSignal<Point | undefined>(undefined);
  const counted = counters.value;
  const chosen = theme.value;

  useEffect(() => {
    const element = holder.current;
    if (element === null) return;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(
        options(element, (point) => (under.value = point)),
        dataOf(history.points),
        element,
      );
    };
    draw();
    const resized = new ResizeObserver(() => plot.current?.setSize(sizeOf(element)));
    resized.observe(element);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', draw);
    return () => {
      dark.removeEventListener('change', draw);
      resized.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [chosen]);

  useEffect(() => {
    plot.current?.setData(dataOf(history.points));
  }, [counted]);

  const point = under.value;
  const down = point?.down ?? counted?.rateDown ?? 0;
  const up = point?.up ?? counted?.rateUp ?? 0;
  return (
    <>
      <div class="chart-head">
        <span class="swatch down">
          <span>
            To clients <b>{rateText(down)}</b>
          </span>
        </span>
        <span class="swatch dashed up">
          <span>
            From clients <b>{rateText(up)}</b>
          </span>
        </span>
        <span class="muted">
          {point === undefined ? 'now' : new Date(point.atSeconds * 1_000).toLocaleTimeString('en-GB')}
        </span>
      </div>
      <div class="chart" ref={holder} role="img" aria-label="Throughput of the last five minutes" />
    </>
  );
}

function dataOf(points: readonly Point[]): uPlot.AlignedData {
  return [points.map((one) => one.atSeconds), points.map((one) => one.down), points.map((one) => one.up)];
}

const sizeOf = (element: HTMLElement) => ({ width: element.clientWidth, height: element.clientHeight });

/** A canvas needs colours that are resolved; custom properties hold both themes. */
function colour(element: HTMLElement, name: string): string {
  const probe = document.createElement('i');
  probe.style.color = `var(${name})`;
  element.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function options(element: HTMLElement, onPoint: (point: Point | undefined) => void): uPlot.Options {
  const [down, up, line, muted] = ['--down', '--up', '--line', '--muted'].map((name) => colour(element, name));
  const axis: uPlot.Axis = {
    stroke: muted ?? '',
    font: '11px system-ui, sans-serif',
    grid: { stroke: line ?? '', width: 1 },
    ticks: { show: false },
  };
  return {
    ...sizeOf(element),
    legend: { show: false },
    padding: [8, 24, 0, 0],
    cursor: { y: false, drag: { x: false, y: false } },
    scales: {
      x: { range: (_, min, max) => windowOf(min, max) },
      y: { range: (_, _min, max) => [0, Math.max(LEAST_TOP, (max ?? 0) * 1.1)] },
    },
    axes: [
      { ...axis, size: 22, space: 70, values: (_, seconds) => seconds.map((one) => timeText(one)) },
      {
        ...axis,
        size: AXIS_PX,
        space: 34,
        incrs: STEPS,
        values: (_, rates) => rates.map((one) => (one === 0 ? '0' : rateText(one))),
      },
    ],
    series: [
      {},
      {
        stroke: down ?? '',
        width: 1.75,
        fill: (down ?? '').replace(/^rgb\((.*)\)$/, 'rgba($1, 0.10)'),
        points: { show: false },
      },
      { stroke: up ?? '', width: 1.75, dash: [5, 3], points: { show: false } },
    ],
    hooks: {
      setCursor: [
        ({ cursor: { idx } }) => {
          onPoint(idx === null || idx === undefined ? undefined : history.points[idx]);
        },
      ],
    },
  };
}

/** At first a minute, then all that is known: a curve should not begin as a dot at the edge. */
function windowOf(min: number | null, max: number | null): [from: number, to: number] {
  const to = max ?? 0;
  const seconds = Math.max(LEAST_SECONDS, Math.min(HISTORY_POINTS, to - (min ?? to)));
  return [to - seconds, to];
}

const timeText = (seconds: number): string => new Date(seconds * 1_000).toLocaleTimeString('en-GB');

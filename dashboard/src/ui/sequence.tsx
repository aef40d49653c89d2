import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Sequence, Step } from '../model/hops.ts';

const HEAD_PX = 44;
const STEP_PX = 34;
const LETTER_PX = 6.6;

/** The hops of a request as a sequence picture. */
export function SequencePicture({ of: { participants, steps } }: { readonly of: Sequence }) {
  const holder = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(640);
  // Before the first paint, so that a phone never has a picture that is wider than it.
  useLayoutEffect(() => {
    const element = holder.current;
    if (element === null) return;
    setWidth(element.clientWidth);
    const resized = new ResizeObserver(() => setWidth(element.clientWidth));
    resized.observe(element);
    return () => resized.disconnect();
  }, []);
  const apart = width / participants.length;
  const x = (at: number) => apart * (at + 0.5);
  const height = HEAD_PX + STEP_PX * steps.length + 14;
  const boxWidth = Math.min(apart - 8, 220);
  return (
    <div ref={holder} class="sequence">
      <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
        {participants.map((name, at) => (
          <g key={at}>
            <line class="life" x1={x(at)} x2={x(at)} y1={32} y2={height} />
            <rect
              class={at === 1 ? 'box own' : 'box'}
              x={x(at) - boxWidth / 2}
              y={4}
              width={boxWidth}
              height={28}
              rx={5}
            />
            <text x={x(at)} y={22} text-anchor="middle">
              {cut(name, boxWidth - 10)}
            </text>
          </g>
        ))}
        {steps.map((step, at) => (
          <Arrow key={at} step={step} x={x} y={HEAD_PX + STEP_PX * at + 20} width={width} />
        ))}
      </svg>
      <ol class="hidden-text">
        {steps.map(({ from, to, text }, at) => (
          <li key={at}>
            {participants[from]} to {participants[to]}: {text}
          </li>
        ))}
      </ol>
    </div>
  );
}

function Arrow({
  step,
  x,
  y,
  width,
}: {
  readonly step: Step;
  readonly x: (at: number) => number;
  readonly y: number;
  readonly width: number;
}) {
  const [from, to] = [x(step.from), x(step.to)];
  const tip = to > from ? -6 : 6;
  const text = cut(step.text, Math.min(width - 16, Math.max(Math.abs(to - from) * 1.6, 120)));
  const half = (text.length * LETTER_PX) / 2 + 4;
  const middle = Math.max(half, Math.min(width - half, (from + to) / 2));
  return (
    <g>
      <line class={`arrow ${step.kind}`} x1={from} x2={to} y1={y} y2={y} />
      {step.kind !== 'bytes' && (
        <path class={`arrow ${step.kind}`} d={`M${to + tip} ${y - 4}L${to} ${y}L${to + tip} ${y + 4}`} />
      )}
      <text x={middle} y={y - 6} text-anchor="middle" class={step.kind === 'response' ? 'quiet' : ''}>
        {text}
      </text>
    </g>
  );
}

const cut = (text: string, px: number): string => {
  const letters = Math.max(3, Math.floor(px / LETTER_PX));
  return text.length <= letters ? text : `${text.slice(0, letters - 1)}…`;
};

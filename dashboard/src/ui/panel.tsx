import type { ComponentChildren } from 'preact';

export const Panel = ({ title, children }: { readonly title: string; readonly children: ComponentChildren }) => (
  <section class="panel" aria-label={title}>
    <h2>{title}</h2>
    {children}
  </section>
);

interface Item {
  readonly key: string;
  readonly name: string;
  readonly value: number;
  readonly text: string;
  readonly href?: string;
}

/** Names with their share of the largest one. */
export function BarList({ items, tone }: { readonly items: readonly Item[]; readonly tone: string }) {
  const most = Math.max(1, ...items.map(({ value }) => value));
  return (
    <ul class="bar-list">
      {items.map(({ key, name, value, text, href }) => (
        <li key={key}>
          {href === undefined ? (
            <span class="line">
              <span class="cut">{name}</span>
              <span>{text}</span>
            </span>
          ) : (
            <a href={href}>
              <span class="cut">{name}</span>
              <span>{text}</span>
            </a>
          )}
          <div class="track">
            <div class={`fill ${tone}`} style={{ width: `${(100 * value) / most}%` }} />
          </div>
        </li>
      ))}
    </ul>
  );
}

export function Segments<T extends string>(props: {
  readonly label: string;
  readonly options: readonly (readonly [value: T, text: string])[];
  readonly value: T;
  readonly onChoose: (value: T) => void;
}) {
  return (
    <fieldset class="segments" aria-label={props.label}>
      {props.options.map(([value, text]) => (
        <button
          type="button"
          key={value}
          aria-pressed={value === props.value ? 'true' : 'false'}
          onClick={() => props.onChoose(value)}
        >
          {text}
        </button>
      ))}
    </fieldset>
  );
}

/** Facts as name and value; those that are unknown are left out. */
export const Facts = ({ of, look = 'facts' }: FactsProps) => (
  <dl class={look}>
    {of
      .filter(([, value]) => value !== undefined && value !== '')
      .map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
  </dl>
);

interface FactsProps {
  readonly of: readonly (readonly [name: string, value: ComponentChildren])[];
  /** `wide`: in as many columns as there is width for. */
  readonly look?: 'facts' | 'facts wide';
}

/** A button with choices below it, which go when the focus goes elsewhere. */
export const Menu = ({ title, children }: { readonly title: string; readonly children: ComponentChildren }) => (
  <details
    class="menu"
    onFocusOut={({ currentTarget, relatedTarget }) => {
      if (!(relatedTarget instanceof Node && currentTarget.contains(relatedTarget))) currentTarget.open = false;
    }}
  >
    <summary>{title}</summary>
    {/* A click on text within would otherwise move the focus out of it. */}
    <div tabIndex={-1}>{children}</div>
  </details>
);

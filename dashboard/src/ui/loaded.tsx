import type { ComponentChildren } from 'preact';
import type { Polled } from '../api/resource.ts';

interface Props<T> {
  readonly of: Polled<T>;
  /** What the section shows, for its messages: `The rules`. */
  readonly what: string;
  readonly children: (value: T) => ComponentChildren;
}

/** One section that an endpoint fills, in each of its states. */
export function Loaded<T>({ of, what, children }: Props<T>) {
  const state = of.state.value;
  switch (state.at) {
    case 'loading':
      return (
        <p class="empty" role="status">
          Reading…
        </p>
      );
    case 'absent':
      return <p class="empty">{what}: this proxy does not offer it.</p>;
    case 'failed':
      return (
        <div class="empty">
          <p class="bad">
            {what} could not be read: {state.message}
          </p>
          <p>
            <button type="button" onClick={() => void of.refresh()}>
              Try again
            </button>
          </p>
        </div>
      );
    case 'ready':
      return (
        <>
          {state.stale !== undefined && <p class="banner">This may be old: {state.stale}</p>}
          {children(state.value)}
        </>
      );
  }
}

export const Empty = ({ children }: { readonly children: ComponentChildren }) => <p class="empty">{children}</p>;

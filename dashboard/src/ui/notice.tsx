import { signal } from '@preact/signals';

const SHOWN_MS = 6_000;

const notice = signal('');
let timer: ReturnType<typeof setTimeout> | undefined;

/** Shows one line at the edge of the page for a few seconds. */
export function notify(text: string): void {
  notice.value = text;
  clearTimeout(timer);
  timer = setTimeout(() => {
    notice.value = '';
  }, SHOWN_MS);
}

/** Does something that the API may refuse, and says how it went. */
export async function attempt(what: string, act: () => Promise<string>): Promise<void> {
  try {
    notify(await act());
  } catch (error) {
    notify(`${what} failed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export const Notice = () => (
  <div class="notice" role="status" aria-live="polite">
    {notice.value}
  </div>
);

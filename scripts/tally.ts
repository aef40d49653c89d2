import type { TestEvent } from 'node:test/reporters';

/**
 * A reporter of node:test for scripts/test.ts: one line for every test that was skipped or that failed,
 * `skipped|failed<TAB>file<TAB>name<TAB>reason`, and `took<TAB>file<TAB><TAB>seconds` for every file. A run is longer than a
 * screen; its end shall say what to mend, and what it waits for.
 */
export default async function* tally(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    if (event.type === 'test:fail') {
      // A suite fails because a test in it does, and that one has its own line.
      if (event.data.details.type !== 'suite') yield line('failed', event.data, event.data.details.error.message);
    } else if (event.type === 'test:pass' && event.data.skip !== undefined && event.data.skip !== false) {
      yield line('skipped', event.data, event.data.skip === true ? 'no reason given' : event.data.skip);
    } else if (event.type === 'test:summary' && event.data.file !== undefined) {
      yield line('took', { file: event.data.file, name: '' }, (event.data.duration_ms / 1000).toFixed(1));
    }
  }
}

function line(what: 'skipped' | 'failed' | 'took', test: { file?: string; name: string }, reason: string): string {
  return `${[what, test.file ?? '', test.name, reason].map((part) => part.replaceAll(/\s+/g, ' ').trim()).join('\t')}\n`;
}

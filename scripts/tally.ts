import type { TestEvent } from 'node:test/reporters';

/** A reporter of node:test for scripts/test.ts: one line for every skipped test, `file<TAB>name<TAB>reason`. */
export default async function* tally(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    if (event.type !== 'test:pass' || event.data.skip === undefined || event.data.skip === false) continue;
    const reason = event.data.skip === true ? 'no reason given' : event.data.skip;
    yield `${event.data.file ?? ''}\t${event.data.name}\t${reason}\n`;
  }
}

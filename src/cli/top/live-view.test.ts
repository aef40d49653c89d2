import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import type { StreamEvent } from './api-client.ts';
import { frame, plainTable } from './frame.ts';
import { LiveTable } from './live-table.ts';
import { LiveView } from './live-view.ts';

const row = (id: string, more: object = {}) => ({
  id,
  kind: 'tunnel',
  method: 'CONNECT',
  target: `${id}.test:443`,
  client: '127.0.0.1',
  route: 'direct',
  state: 'relay',
  startedAt: new Date(0).toISOString(),
  bytesUp: 0,
  bytesDown: 0,
  rateUp: 0,
  rateDown: 0,
  ...more,
});
const counters = { open: 3, rateUp: 10, rateDown: 2048, requestsPerSecond: 1.5 };
const snapshot = {
  counters,
  tunnels: [row('a', { rateDown: 100 }), row('b', { rateDown: 300 }), row('c', { rateUp: 200, user: 'alice' })],
  closed: [],
};

/** A terminal of 120 by 10, and an API whose events the test sends. */
function stage() {
  const input = Object.assign(new PassThrough(), {
    modes: [] as boolean[],
    setRawMode(mode: boolean) {
      input.modes.push(mode);
    },
  });
  const output = Object.assign(new PassThrough(), { columns: 120, rows: 10 });
  let written = '';
  output.on('data', (text) => {
    written += text;
  });
  const ended: string[] = [];
  const waiting: ((event: StreamEvent | undefined) => void)[] = [];
  const api = {
    async *events(signal: AbortSignal): AsyncGenerator<StreamEvent> {
      for (;;) {
        const event = await new Promise<StreamEvent | undefined>((resolve) => {
          waiting.push(resolve);
          signal.addEventListener('abort', () => resolve(undefined), { once: true });
        });
        if (event === undefined) return;
        yield event;
      }
    },
    end: async (id: string) => ended.push(id) > 0,
  };
  const clock = new ManualClock();
  const view = new LiveView({ api, streams: { input, output }, clock });
  const running = view.run();
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  return {
    input,
    output,
    clock,
    ended,
    running,
    view,
    /** What was written since the last call. */
    async written(): Promise<string> {
      await turn();
      await turn();
      const text = written;
      written = '';
      return text;
    },
    async send(name: string, data: unknown): Promise<void> {
      await turn();
      waiting.shift()?.({ name, data });
      await turn();
    },
    async close(): Promise<void> {
      await turn();
      waiting.shift()?.(undefined);
      await turn();
    },
    async press(keys: string): Promise<void> {
      input.write(keys);
      await turn();
    },
  };
}

const order = (text: string): string[] => [...text.matchAll(/CONNECT (\w)\.test/g)].map(([, id = '']) => id);

test('the table sorts, filters, and ends a tunnel after a question; the terminal is given back', async () => {
  const { input, ended, running, written, send, press } = stage();
  await send('snapshot', snapshot);
  const first = await written();
  assert.ok(first.startsWith('\x1b[?1049h\x1b[?25l'));
  assert.deepEqual(order(first), ['b', 'c', 'a']);
  assert.match(first, /3 open {2}down 2\.0 KiB\/s {2}up 10 B\/s {2}1\.5 requests\/s/);
  await press('r');
  assert.deepEqual(order(await written()), ['a', 'b'], 'the row in the middle stays, and is not drawn again');
  await press('r/ALICE\r');
  assert.match(await written(), /filter "alice": 1 of 3/);
  await press('\x1b[Bx');
  assert.match(await written(), /end c to c\.test:443\? y ends it/);
  await press('n');
  assert.deepEqual(ended, []);
  await press('xy');
  assert.deepEqual(ended, ['c']);
  assert.match(await written(), /c was ended/);
  await press('q');
  await running;
  assert.ok((await written()).endsWith('\x1b[?25h\x1b[?1049l'));
  assert.deepEqual(input.modes, [true, false]);
  assert.equal(input.listenerCount('data'), 0);
});

test('an unchanged table writes nothing, a changed row its own line, and another size everything', async () => {
  const { output, running, view, written, send } = stage();
  await send('snapshot', snapshot);
  await written();
  await send('change', { counters, tunnels: [], closed: [] });
  assert.equal(await written(), '');
  await send('change', { counters, tunnels: [row('a', { rateDown: 101 })], closed: [] });
  const one = await written();
  assert.deepEqual(order(one), ['a']);
  assert.match(one, /^\x1b\[\?2026h[\s\S]*\x1b\[\?2026l$/);
  output.columns = 80;
  output.emit('resize');
  const all = await written();
  assert.deepEqual(order(all), ['b', 'c', 'a']);
  assert.doesNotMatch(all, /ROUTE/);
  view.stop();
  await running;
});

test('rows that ended leave, a pause holds the picture, and a proxy that went away is tried again', async () => {
  const { clock, running, written, send, close, press } = stage();
  await send('snapshot', snapshot);
  await press('p');
  await written();
  await send('change', { counters, tunnels: [], closed: [row('b')] });
  assert.equal(await written(), '');
  await press('p');
  assert.deepEqual(order(await written()), ['c', 'a']);
  await close();
  assert.match(await written(), /closed the connection; trying again/);
  clock.advance(1_000);
  await send('snapshot', { ...snapshot, tunnels: [row('d')] });
  assert.deepEqual(order(await written()), ['d']);
  await press('\x03');
  await running;
});

test('no name drives the terminal, no line is wider than it, and a server of another kind does no harm', () => {
  const table = new LiveTable();
  for (const data of [undefined, 7, {}, { tunnels: 'x' }, { tunnels: [null, { id: 5 }] }])
    table.apply('snapshot', data);
  assert.equal(table.size, 0);
  const evil = '\x1b[2J\x9b\nforged';
  table.apply('snapshot', {
    tunnels: [row('a', { target: evil.repeat(20), client: evil, user: evil, route: evil, state: evil, heldBy: evil })],
  });
  const state = { sort: 'rate', order: 'first', filter: '', selected: 'a', prompt: evil, isPaused: true } as const;
  for (const columns of [20, 40, 80, 300]) {
    const lines = frame(table, state, { columns, lines: 6 }, 5_000);
    assert.equal(lines.length, 6);
    for (const { text } of lines) assert.match(text, new RegExp(`^[\\x20-\\x7e]{${columns}}$`));
  }
  const [, head = '', first = ''] = plainTable(table, state, 5_000);
  assert.match(head, /^ +RATE v +DOWN +UP +AGE STATE/);
  assert.match(first, /5\.00 s/);
});

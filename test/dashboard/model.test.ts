import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventStreamParser, type StreamEvent } from '../../dashboard/src/api/event-stream.ts';
import { csvOf } from '../../dashboard/src/model/export.ts';
import { History } from '../../dashboard/src/model/history.ts';
import { sequenceOf } from '../../dashboard/src/model/hops.ts';
import { matcherOf, nextSort, select } from '../../dashboard/src/model/select.ts';
import { CLOSED_MAX, Traffic } from '../../dashboard/src/model/traffic.ts';
import { bytesText, durationText, parseRate, sinceText } from '../../dashboard/src/model/units.ts';
import { rowOf } from './made-traffic.ts';

test('events are the same wherever the stream is cut', () => {
  const wire = ': a comment\n\nevent: change\ndata: {"a":\ndata: 1}\n\r\nid: 7\ndata:x\r\n\r\nevent: left out\n\n';
  const expected: StreamEvent[] = [
    { name: 'change', data: '{"a":\n1}' },
    { name: 'message', data: 'x' },
  ];
  for (let cut = 0; cut <= wire.length; cut++) {
    const parser = new EventStreamParser();
    assert.deepEqual([...parser.push(wire.slice(0, cut)), ...parser.push(wire.slice(cut))], expected, `cut at ${cut}`);
  }
});

test('rows that end move to the ring, newest first, and the ring is bounded', () => {
  const traffic = new Traffic();
  traffic.start({ tunnels: [rowOf('a', { rateDown: 5 }), rowOf('b')], closed: [] });
  traffic.apply({ tunnels: [], closed: [rowOf('a', { state: 'closed', ageMs: 9_000 })] });
  assert.deepEqual(
    traffic.live.map(({ id }) => id),
    ['b'],
  );
  assert.equal(traffic.find('a')?.state, 'closed');
  const many = Array.from({ length: CLOSED_MAX + 20 }, (_, at) =>
    rowOf(`n${at}`, { state: 'closed', ageMs: 10_000 + at }),
  );
  traffic.apply({ tunnels: [], closed: many });
  assert.equal(traffic.closed.length, CLOSED_MAX);
  assert.equal(traffic.closed[0]?.id, `n${CLOSED_MAX + 19}`);
});

test('after a reconnect, rows that ended before stay, and none is there twice', () => {
  const traffic = new Traffic();
  traffic.start({ tunnels: [rowOf('a'), rowOf('b')], closed: [] });
  traffic.apply({ tunnels: [], closed: [rowOf('a', { state: 'closed' })] });
  traffic.start({ tunnels: [rowOf('c')], closed: [rowOf('a', { state: 'closed' }), rowOf('b', { state: 'closed' })] });
  assert.deepEqual(
    traffic.live.map(({ id }) => id),
    ['c'],
  );
  assert.deepEqual(traffic.closed.map(({ id }) => id).sort(), ['a', 'b']);
});

test('a filter means all of its words, none of its -words, or an expression', () => {
  const row = rowOf('a', { target: 'Mirror.example:443', client: '10.1.0.7', user: 'alice', heldBy: 'downloads' });
  const matches = (filter: string) => matcherOf(filter)(row);
  assert.deepEqual(
    ['', 'mirror', 'MIRROR alice', '10.1.0.7', 'held back', '-bob', '/^mirror\\./'].filter(matches).length,
    7,
  );
  assert.deepEqual(['bob', 'mirror bob', '-alice', '/^alice$x/', '/(/'].filter(matches), []);
});

test('sorting is stable by id, and the first click on a text sorts ascending', () => {
  const rows = [rowOf('b', { user: 'x' }), rowOf('a', { user: 'x' }), rowOf('c', { user: 'A' })];
  const ids = select(rows, '', { by: 'user', order: 'ascending' }).map(({ id }) => id);
  assert.deepEqual(ids, ['c', 'a', 'b']);
  assert.deepEqual(nextSort({ by: 'rateUp', order: 'ascending' }, 'user'), { by: 'user', order: 'ascending' });
  assert.deepEqual(nextSort({ by: 'user', order: 'ascending' }, 'age'), { by: 'age', order: 'descending' });
  const byAge = [
    rowOf('new', { startedAt: '2026-01-02T00:00:00Z' }),
    rowOf('old', { startedAt: '2026-01-01T00:00:00Z' }),
  ];
  assert.equal(select(byAge, '', { by: 'age', order: 'descending' })[0]?.id, 'old');
});

test('numbers are short, and rates are read as the configuration reads them', () => {
  assert.deepEqual([0, 999, 1_023, 1_536, 10_240, 1_048_576, 3 * 1024 ** 3].map(bytesText), [
    '0 B',
    '999 B',
    '1.00 KiB',
    '1.50 KiB',
    '10.0 KiB',
    '1.00 MiB',
    '3.00 GiB',
  ]);
  assert.deepEqual([3.14, 850, 12_400, 245_000, 11_520_000, 187_200_000].map(durationText), [
    '3.1 ms',
    '850 ms',
    '12 s',
    '4:05',
    '3 h 12 min',
    '2 d 4 h',
  ]);
  assert.equal(sinceText('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:01:30Z')), '1:30 ago');
  assert.equal(sinceText('2026-01-01T00:01:00Z', Date.parse('2026-01-01T00:00:30Z')), 'in 30 s');
  assert.deepEqual(['524288', '512KiB', '4 Mbit', '2.5MiB/s', '1MB', 7, 'fast', '1 furlong', ''].map(parseRate), [
    524_288,
    524_288,
    500_000,
    2_621_440,
    1_000_000,
    7,
    undefined,
    undefined,
    undefined,
  ]);
});

test('a field of a CSV file is quoted, and is no formula', () => {
  const [, line] = csvOf([rowOf('1', { target: 'a "b",c:443', user: '@SUM(1)' })]).split('\r\n');
  assert.match(line ?? '', /"a ""b"",c:443".*,'@SUM\(1\),/);
});

test('a gap in time is a gap in the curve', () => {
  const history = new History();
  history.add(1_000, 1, 2);
  history.add(2_000, 3, 4);
  history.add(2_000, 9, 9);
  history.add(60_000, 5, 6);
  assert.deepEqual(
    history.points.map(({ atSeconds, up }) => [atSeconds, up]),
    [
      [1, 1],
      [2, 3],
      [3, null],
      [60, 5],
    ],
  );
});

test('the hops of a request go through its upstream proxies, or stop where it failed', () => {
  const { participants, steps } = sequenceOf(rowOf('a', { route: 'http://p.example:8080 socks5://q.example:1080' }));
  assert.deepEqual(participants, ['10.1.0.7', 'Viaduct', 'p.example:8080', 'socks5://q.example:1080', 'a.example:443']);
  assert.deepEqual(
    steps.map(({ from, to, kind }) => `${from}-${to} ${kind}`),
    ['0-1 request', '1-2 request', '2-3 request', '3-4 request', '1-0 response', '0-4 bytes'],
  );
  const failed = rowOf('b', { state: 'closed', failure: 'denied', status: 403, bytesUp: 0, bytesDown: 0 });
  const { route: _, ...undecided } = failed;
  assert.deepEqual(
    sequenceOf(undecided).steps.map(({ text }) => text),
    ['CONNECT b.example:443', '403 denied'],
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adminUnderTest, rowsIn } from '../support/admin.ts';
import { isLong } from '../support/bulk.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { type RawPeer, rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { until } from '../support/until.ts';

const MANY = isLong ? 5_000 : 500;
const OTHERS = 20;
const AT_ONCE = 50;
/** As the dashboard sends them: a body may have 64 KiB. */
const IDS_PER_REQUEST = 500;
const OPENED_MS_MAX = 100_000;
const ENDED_MS_MAX = 20_000;

for (const words of [[], ['--workers', '2']]) {
  test(`of ${MANY + OTHERS} tunnels exactly those to one target are ended ${words.join(' ')}`, {
    timeout: isLong ? 240_000 : 60_000,
  }, async () => {
    await using wanted = await RawOrigin.listen(echo);
    await using other = await RawOrigin.listen(echo);
    using at = await adminUnderTest(...words);
    using tunnels = new Tunnels(at.port);
    const ending = await tunnels.open(wanted.authority, MANY);
    const staying = await tunnels.open(other.authority, OTHERS);
    const shown = async () => rowsIn((await at.api('/api/tunnels')).json);
    await until(async () => (await shown()).length === MANY + OTHERS, 'all tunnels to be shown', OPENED_MS_MAX);

    const ids = (await shown()).filter(({ target }) => target === wanted.authority).map(({ id }) => id);
    assert.equal(ids.length, MANY);
    let ended = 0;
    for (let first = 0; first < MANY; first += IDS_PER_REQUEST) {
      const some = { ids: ids.slice(first, first + IDS_PER_REQUEST), reason: 'too many' };
      const { status, json } = await at.api('/api/tunnels/end', 'POST', some);
      assert.equal(status, 200);
      ended += Number(Object(json).ended);
    }
    assert.equal(ended, MANY);
    await until(() => ending.every(({ ending: how }) => how !== 'open'), 'the clients to see it', ENDED_MS_MAX);

    for (const client of staying) {
      client.send('still here');
      await client.until('still here');
    }
    const left = await shown();
    assert.deepEqual(new Set(left.map(({ target }) => target)), new Set([other.authority]));
    assert.equal(left.length, OTHERS);
    const kept = rowsIn((await at.api('/api/tunnels?closed=1')).json).filter(({ state }) => state === 'closed');
    assert.ok(kept.length >= Math.min(MANY, 500), String(kept.length));
    for (const { target, detail, failure } of kept) {
      assert.deepEqual([target, failure], [wanted.authority, 'terminated']);
      assert.match(String(detail), /too many/);
    }
    const metrics = async () => (await fetch(`${at.instance.admin}/metrics`)).text();
    assert.match(await metrics(), new RegExp(`^viaduct_request_failures_total\\{reason="terminated"\\} ${MANY}$`, 'm'));
    const unaccounted = (text: string) => [...text.matchAll(/^viaduct_unaccounted\{.*\} (\S+)$/gm)].map(([, n]) => n);
    await until(async () => unaccounted(await metrics()).every((value) => value === '0'), 'nothing to be forgotten');
  });
}

/** Tunnels that are open until they are ended, or all disposed. */
class Tunnels implements Disposable {
  readonly #port: number;
  readonly #all: RawPeer[] = [];

  constructor(port: number) {
    this.#port = port;
  }

  async open(authority: string, count: number): Promise<RawPeer[]> {
    const opened: RawPeer[] = [];
    let begun = 0;
    const worker = async () => {
      while (begun < count) {
        begun++;
        const client = await rawClient(this.#port);
        this.#all.push(client);
        client.send(connectTo(authority));
        await client.until('\r\n\r\n');
        assert.match(client.text, /^HTTP\/1\.1 200 /);
        opened.push(client);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return opened;
  }

  [Symbol.dispose](): void {
    for (const client of this.#all) client[Symbol.dispose]();
  }
}

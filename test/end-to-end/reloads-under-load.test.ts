/** Reloads while clients send requests all the time: none fails, and nothing of an earlier configuration is left. */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { adminUnderTest } from '../support/admin.ts';
import { isLong, residentBytes } from '../support/bulk.ts';
import { answering, echo, ok, RawOrigin } from '../support/origin.ts';
import { childrenOf } from '../support/processes.ts';
import { rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { untilSteady } from '../support/steady.ts';
import { temporaryFolder } from '../support/temporary.ts';

const RELOADS = isLong ? 100 : 10;
/** Requests go on all the time in each of them. */
const CLIENTS = 4;
/** What the first reloads leave in memory is for good: compiled code, pools. */
const WARM_RELOADS = Math.floor(RELOADS / 2);
/** How much more a process may hold after the other half. Ten reloads say nothing: its heap has not settled by then. */
const GROWTH_BYTES_MAX = 24 * 1_048_576;
/** Nothing has changed for so long: idle connections of before are closed. */
const QUIET_MS = 500;

const filesOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

const skip = process.platform !== 'linux' && 'it counts descriptors in /proc';

for (const words of [[], ['--workers', '2']]) {
  test(`${RELOADS} reloads under load: no request fails, and nothing is left ${words.join(' ')}`, {
    skip,
  }, async () => {
    await using site = await RawOrigin.listen(answering(() => ok('hello')));
    await using far = await RawOrigin.listen(echo);
    using folder = temporaryFolder();
    const file = join(folder.path, 'viaduct.yaml');
    const write = (n: number) =>
      writeFileSync(
        file,
        `name: viaduct-${n}
access: [{ name: rule-${n}, deny: { hosts: [".nowhere-${n}.example"] } }, { default: allow }]
limits: { bandwidth: { name: all, rate: ${100 + n}MiB }, tunnels: { total: ${1_000 + n} } }
reload: signal
`,
      );
    write(0);
    using at = await adminUnderTest('--config', file, ...words);
    const { pid } = at.instance;
    const processes = () => [pid, ...childrenOf(pid)];
    const files = () => processes().reduce((sum, one) => sum + filesOf(one), 0);
    const resident = () => processes().reduce((sum, one) => sum + residentBytes(one), 0);

    // A tunnel that was opened before the first of them lives on through all.
    using old = await rawClient(at.port);
    old.send(connectTo(far.authority));
    await old.until('\r\n\r\n');
    const load = new Load(at.port, site.authority, far.authority);
    await load.step();
    await load.closeIdle();
    const filesBefore = await untilSteady(files, QUIET_MS, 'the descriptors');
    const running = Array.from({ length: CLIENTS }, () => load.run());
    let warmBytes = 0;
    for (let n = 1; n <= RELOADS; n++) {
      write(n);
      const { status, json } = await at.api('/api/reload', 'POST');
      assert.deepEqual([status, Object(json).applied], [200, true], JSON.stringify(json));
      if (n === WARM_RELOADS) warmBytes = resident();
    }
    const grownBytes = resident() - warmBytes;
    load.stop();
    await Promise.all(running);
    await load.closeIdle();
    assert.deepEqual(load.failures, []);
    assert.ok(load.served > RELOADS, `${load.served} requests`);
    const allowedBytes = isLong ? GROWTH_BYTES_MAX * processes().length : Number.POSITIVE_INFINITY;
    assert.ok(grownBytes < allowedBytes, `${Math.round(grownBytes / 1024)} KiB more`);
    old.send('still here');
    await old.until('still here');
    const filesAfter = await untilSteady(files, QUIET_MS, 'the descriptors');
    // A pooled connection to the site may be open now, which was not then.
    assert.ok(filesAfter <= filesBefore + 2 * CLIENTS, `${filesBefore} descriptors before, ${filesAfter} after`);
    const { json } = await at.api('/api/limits');
    assert.equal(Object(json).limits[0].rate, (100 + RELOADS) * 1_048_576);
  });
}

/** Plain requests over connections that stay open, and short tunnels. */
class Load {
  readonly failures: string[] = [];
  served = 0;
  readonly #port: number;
  readonly #site: string;
  readonly #far: string;
  #agent = new Agent({ keepAlive: true });
  #isOver = false;

  constructor(port: number, site: string, far: string) {
    this.#port = port;
    this.#site = site;
    this.#far = far;
  }

  stop(): void {
    this.#isOver = true;
  }

  async closeIdle(): Promise<void> {
    this.#agent.destroy();
    this.#agent = new Agent({ keepAlive: true });
  }

  async run(): Promise<void> {
    while (!this.#isOver) await this.step();
  }

  async step(): Promise<void> {
    try {
      const answer = await this.#get();
      if (answer !== '200 hello') throw new Error(answer);
      await this.#tunnel();
      this.served += 2;
    } catch (error) {
      this.failures.push(error instanceof Error ? error.message : String(error));
      this.#isOver = true;
    }
  }

  #get(): Promise<string> {
    return new Promise((resolve, reject) => {
      const options = { port: this.#port, path: `http://${this.#site}/`, agent: this.#agent };
      const asked = request({ ...options, headers: { host: this.#site } }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve(`${response.statusCode} ${text}`));
        response.on('error', reject);
      });
      asked.on('error', reject);
      asked.end();
    });
  }

  async #tunnel(): Promise<void> {
    using client = await rawClient(this.#port);
    client.send(connectTo(this.#far));
    await client.until('\r\n\r\n');
    client.send('ping');
    await client.until('ping');
    if (!client.text.startsWith('HTTP/1.1 200 ')) throw new Error(client.text.slice(0, 100));
  }
}

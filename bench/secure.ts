/**
 * `node bench/secure.ts [ROUNDS] [BYTES]`: what tunnels inside TLS and HTTP/2 cost, beside Squid's https_port. CPU seconds of
 * the proxy for a gigabyte and for a CONNECT, and memory for an idle tunnel in HTTP/2. Medians of the rounds.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { build, isStale } from '../scripts/build.ts';
import { selfSigned } from '../test/support/certificate.ts';
import { isInstalled } from '../test/support/requires.ts';
import { cpuOf } from './cpu.ts';
import { type Instance, startInstance } from './instance.ts';
import { buildLoad, startOrigin } from './load.ts';
import type { InstancePaths, Peer } from './peer.ts';
import { squid } from './peers/squid.ts';
import { viaductListening } from './peers/viaduct.ts';

const CLIENT = join(import.meta.dirname, 'secure-client.ts');
const SETUPS = 300;
const IDLE_SESSIONS = 20;
const IDLE_TUNNELS = 100;

function certificateIn({ folder }: InstancePaths): { readonly cert: string; readonly key: string } {
  const { cert, key } = selfSigned();
  const files = { cert: join(folder, 'own.pem'), key: join(folder, 'own.key') };
  writeFileSync(files.cert, cert);
  writeFileSync(files.key, key);
  return files;
}

/** Viaduct with an https: listener alone. */
const secureViaduct: Peer = viaductListening(
  (at) => ({ url: `https://127.0.0.1:${at.port}`, tls: certificateIn(at) }),
  { admin: false },
);

/** Squid with an https_port alone; one process, as above. */
const secureSquid: Peer = {
  ...squid,
  needs: [{ name: 'squid-openssl', command: 'squid' }],
  prepare(at) {
    const launch = squid.prepare(at);
    const { cert, key } = certificateIn(at);
    const file = join(at.folder, 'squid.conf');
    const secure = `https_port 127.0.0.1:${at.port} tls-cert=${cert} tls-key=${key}`;
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^http_port .*$/m, secure));
    return launch;
  },
};

type Numbers = Readonly<Record<string, number>>;

function startClient(mode: string, port: number, far: number, tunnels: number, amount: number): ChildProcess {
  const words = [CLIENT, mode, ...[port, far, tunnels, amount].map(String)];
  return spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] });
}

async function lineOf(child: ChildProcess): Promise<Numbers> {
  if (child.stdout === null) throw new Error('no output');
  for await (const line of createInterface(child.stdout)) return JSON.parse(line);
  throw new Error('the client has ended without a line');
}

async function client(...how: Parameters<typeof startClient>): Promise<Numbers> {
  const child = startClient(...how);
  const closed = once(child, 'close');
  const numbers = await lineOf(child);
  await closed;
  return numbers;
}

/** CPU seconds for a gigabyte, or for a thousand CONNECTs. */
async function cost(
  { pid, port }: Instance,
  mode: string,
  far: number,
  tunnels: number,
  amount: number,
): Promise<number> {
  const { cpuS, result } = await cpuOf(pid, () => client(mode, port, far, tunnels, amount));
  return result.bytes === undefined ? (cpuS / (result.tunnels ?? 1)) * 1_000 : cpuS / (result.bytes / 1e9);
}

/** Proportional set size, in KiB. */
const memoryOf = (pid: number): number =>
  Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? Number.NaN);

async function idleKiB({ pid, port }: Instance, echo: number): Promise<number> {
  const open = async (sessions: number): Promise<ChildProcess> => {
    const child = startClient('h2-idle', port, echo, IDLE_TUNNELS, sessions);
    await lineOf(child);
    return child;
  };
  // What the first tunnels load and compile is no tunnel's.
  const first = await open(2);
  await cpuOf(pid, async () => undefined);
  const before = memoryOf(pid);
  const more = await open(IDLE_SESSIONS);
  await cpuOf(pid, async () => undefined);
  const after = memoryOf(pid);
  for (const child of [first, more]) child.stdin?.end();
  return (after - before) / (IDLE_SESSIONS * IDLE_TUNNELS);
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

async function main(rounds: number, bytes: number): Promise<void> {
  if (isStale()) build();
  buildLoad();
  using origin = await startOrigin();
  const results = new Map<string, number[]>();
  const note = (name: string, value: number): void => {
    process.stderr.write(`${name}: ${value.toFixed(2)}\n`);
    results.set(name, [...(results.get(name) ?? []), value]);
  };
  const peers = [secureViaduct, ...(isInstalled({ name: 'squid', command: 'squid' }) ? [secureSquid] : [])];
  for (let round = 0; round < rounds; round++) {
    for (const peer of peers) {
      await using instance = await startInstance(peer);
      await cost(instance, 'tls-down', origin.source, 1, bytes / 8);
      note(`${peer.name}: TLS, 1 tunnel, CPU-s/GB`, await cost(instance, 'tls-down', origin.source, 1, bytes));
      note(`${peer.name}: TLS, 16 tunnels, CPU-s/GB`, await cost(instance, 'tls-down', origin.source, 16, bytes / 16));
      await cost(instance, 'tls-setup', origin.echo, 1, SETUPS / 3);
      note(`${peer.name}: CONNECT over its own TLS, CPU-ms`, await cost(instance, 'tls-setup', origin.echo, 1, SETUPS));
      if (peer !== secureViaduct) continue;
      await cost(instance, 'h2-down', origin.source, 1, bytes / 8);
      note(`${peer.name}: HTTP/2, 1 tunnel, CPU-s/GB`, await cost(instance, 'h2-down', origin.source, 1, bytes));
      note(
        `${peer.name}: HTTP/2, 16 tunnels, CPU-s/GB`,
        await cost(instance, 'h2-down', origin.source, 16, bytes / 16),
      );
      await cost(instance, 'h2-setup', origin.echo, 1, SETUPS / 3);
      note(
        `${peer.name}: CONNECT on a warm HTTP/2 connection, CPU-ms`,
        await cost(instance, 'h2-setup', origin.echo, 1, SETUPS),
      );
      note(`${peer.name}: idle tunnel in HTTP/2, KiB`, await idleKiB(instance, origin.echo));
    }
  }
  for (const [name, values] of results) process.stdout.write(`${name}: ${median(values).toFixed(2)}\n`);
}

const [rounds = '3', bytes = '1e9'] = process.argv.slice(2);
await main(Number(rounds), Number(bytes));

import { readFileSync } from 'node:fs';
import { CONNECTIONS_MAX } from '../src/app/descriptor-budget.ts';
import { GENERATED, table } from './page-parts.ts';
import { tableIn } from './readme-figures.ts';
import { ROOT } from './tools.ts';

/**
 * What the kernel holds for one idle TCP socket, in bytes, by the sizes in /proc/slabinfo of Linux 6.18 on x86-64: TCP 2,368,
 * sock_inode_cache 832, filp 192, dentry 192, eventpoll_epi 128. It is not in the memory of any process.
 */
const KERNEL_SOCKET_BYTES = 2_368 + 832 + 192 + 192 + 128;
/** net.ipv4.ip_local_port_range, by default and at most (ports below 1,024 are for others). */
const PORTS = { byDefault: 60_999 - 32_768 + 1, atMost: 65_535 - 1_024 + 1 };
/** How long a port is not used again after our side has closed (TIME-WAIT, Linux). */
const TIME_WAIT_S = 60;
/** Reports to Redis while a limit is busy: what the fleet is to stay below, for each instance and second. */
const STORE_CALLS_MAX = 50;

const TUNNELS = 1_000_000;
const GBIT = 100;
/** A part of the machine that is left free: for what dies, drains or comes in bursts. */
const HEAD_SPACE = 1.5;

interface Figures {
  readonly tunnelKib: number;
  readonly processMib: number;
  readonly connectUs: number;
  readonly connectManyUs: number;
  readonly sPerGb: number;
  readonly sPerGbLimited: number;
  readonly gbPerS: number;
}

function figures(): Figures {
  const benchmarks = tableIn(readFileSync(`${ROOT}docs/BENCHMARKS.md`, 'utf8'));
  const of = (row: string): number => {
    const figure = Number.parseFloat(benchmarks.get(row)?.get('viaduct') ?? '');
    if (!(figure > 0)) throw new Error(`docs/BENCHMARKS.md has no row ${row}`);
    return figure;
  };
  return {
    tunnelKib: of('memory per tunnel, 9,000 open, KiB'),
    processMib: of('memory before, MiB'),
    connectUs: of('CONNECT set-up, CPU µs each'),
    connectManyUs: of('CONNECT set-up with 9,000 open tunnels, CPU µs each'),
    sPerGb: of('download, 16 tunnels, CPU-s/GB'),
    sPerGbLimited: of('download at 100 MiB/s, limited, CPU-s/GB'),
    gbPerS: of('download rate, 16 tunnels, GB/s ↑'),
  };
}

const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
const one = (value: number): string => value.toLocaleString('en-US', { maximumFractionDigits: 1 });
/** Two digits: more would promise what a calculation cannot keep. */
const about = (value: number): string => Number(value.toPrecision(2)).toLocaleString('en-US');

/** docs/CAPACITY.md. */
export function capacityPage(): string {
  const known = figures();
  return `${[intro(), measured(known), manyTunnels(known), fastLine(known), OPERATION].join('\n\n')}\n`;
}

const intro = (): string => `# Capacity

${GENERATED}

How many machines does a fleet need? The first part takes its figures from [BENCHMARKS.md](BENCHMARKS.md), which were **measured** on
one small machine over loopback; \`npm run bench\` makes them on yours. The second part is **calculated** from them: this project has
never had 1,000,000 tunnels or 100 Gbit/s in front of it. Measure your own traffic before you buy.`;

function measured({ tunnelKib, processMib, connectUs, connectManyUs, sPerGb, sPerGbLimited, gbPerS }: Figures): string {
  const kernelKib = (2 * KERNEL_SOCKET_BYTES) / 1024;
  const perGib = ((1024 - processMib) * 1024) / tunnelKib;
  const perGibWhole = ((1024 - processMib) * 1024) / (tunnelKib + kernelKib);
  return `## One process, measured

${table(
  ['what', 'figure', 'from'],
  [
    ['memory of a process without tunnels', `${one(processMib)} MiB`, 'memory before'],
    ['memory of an idle tunnel, in the process', `${one(tunnelKib)} KiB`, 'memory per tunnel, 9,000 open'],
    [
      'memory of an idle tunnel, in the kernel',
      `${one(kernelKib)} KiB`,
      'two sockets, by the sizes in `/proc/slabinfo`; not in the benchmark',
    ],
    [
      'tunnels in a GiB',
      `${about(perGib)} by the process alone, **${about(perGibWhole)}** with the kernel`,
      'the three above',
    ],
    ['descriptors of a tunnel', '2', 'its two sockets; pipes only while it moves bytes (LIMITS.md)'],
    ['connections of clients, at most', whole(CONNECTIONS_MAX), 'of one process (LIMITS.md)'],
    ['CONNECTs in a second of one core', `**${about(1e6 / connectUs)}**`, `CONNECT set-up, ${whole(connectUs)} µs`],
    [
      'the same beside 9,000 open tunnels',
      about(1e6 / connectManyUs),
      `CONNECT set-up with 9,000 open tunnels, ${whole(connectManyUs)} µs`,
    ],
    ['GB in a second of one core', `**${one(1 / sPerGb)}**`, `download, 16 tunnels, ${sPerGb} CPU-s/GB`],
    [
      'the same under a bandwidth limit',
      one(1 / sPerGbLimited),
      `download at 100 MiB/s, limited, ${sPerGbLimited} CPU-s/GB`,
    ],
    ['GB/s of one process', one(gbPerS), 'download rate, 16 tunnels: one relay thread'],
  ],
)}

Loopback has no network card: no interrupts, and segments of 64 KiB. With packets of 1,500 bytes the kernel's part of the cost per
GB is larger, unless the card joins and cuts segments (GRO, TSO), which nearly all do. TLS at the listener is not in these figures.`;
}

function manyTunnels({ tunnelKib, processMib }: Figures): string {
  const processes = Math.ceil((TUNNELS * HEAD_SPACE) / CONNECTIONS_MAX);
  const processGib = (TUNNELS * tunnelKib) / 1024 ** 2 + (processes * processMib) / 1024;
  const kernelGib = (TUNNELS * 2 * KERNEL_SOCKET_BYTES) / 1024 ** 3;
  const perProcess = Math.ceil(TUNNELS / processes);
  const addresses = Math.ceil(TUNNELS / PORTS.byDefault);
  const addressesWide = Math.ceil(TUNNELS / PORTS.atMost);
  return `## ${whole(TUNNELS)} open tunnels, calculated

${table(
  ['what', 'needs', 'because'],
  [
    [
      'processes',
      `**${processes}** (\`workers\`, instances, or both)`,
      `${whole(CONNECTIONS_MAX)} clients each at most, and half as much again for what dies or drains: ${whole(perProcess)} each`,
    ],
    [
      'memory',
      `${about(processGib)} GiB in processes, ${about(kernelGib)} GiB in the kernel`,
      'while the tunnels are idle; socket buffers come on top while bytes wait (`net.ipv4.tcp_mem`)',
    ],
    [
      'descriptors',
      `${whole(2 * TUNNELS)} in all, ${whole(2 * perProcess)} for each process`,
      '`LimitNOFILE=` (systemd), `ulimits` (containers); `fs.file-max` on a machine with many processes, `net.netfilter.nf_conntrack_max` where connections are tracked',
    ],
    [
      'source ports to one upstream proxy or target',
      `**${addresses}** source addresses, or ${addressesWide} with \`net.ipv4.ip_local_port_range = 1024 65535\``,
      `a port is used once for each pair of source address and destination: ${whole(PORTS.byDefault)} by default`,
    ],
    [
      'source ports from HAProxy to Viaduct',
      `the same: at most ${whole(PORTS.byDefault)} tunnels from one address of HAProxy to one address and port of Viaduct`,
      'give an instance several listeners, or HAProxy several sources (`source` of a server)',
    ],
    [
      'calls to Redis',
      `fewer than ${whole(STORE_CALLS_MAX * processes)} a second, if every process is an instance; with \`workers\` an instance has one connection`,
      `fewer than ${STORE_CALLS_MAX} for each instance, also with ten busy limits; one Redis answers about 100,000`,
    ],
  ],
)}

**Opening them** takes longer than holding them: a million tunnels that live ten minutes are ${whole(TUNNELS / 600)} CONNECTs a second,
and after a machine dies its clients come back at once. A port that our side has closed stays in TIME-WAIT for ${TIME_WAIT_S} s: to one
destination that is ${whole(PORTS.byDefault / TIME_WAIT_S)} connections a second for each source address, unless
\`net.ipv4.tcp_tw_reuse = 1\` lets the kernel use it again after one second.

**Source ports run out** one destination at a time: requests for it fail as \`host_unreachable\` (EADDRNOTAVAIL). In this order:

1. \`net.ipv4.ip_local_port_range = 1024 65535\`, with the ports of your listeners in \`net.ipv4.ip_local_reserved_ports\`.
2. \`net.ipv4.tcp_tw_reuse = 1\`.
3. Several upstream proxies, or several addresses of one: ports count for each destination.
4. Several source addresses on the machine, spread over instances or routes. A socket that is bound to an address before it connects
   takes a port for all destinations at once; Viaduct sets \`IP_BIND_ADDRESS_NO_PORT\` (with its addon, on Linux), by which the
   kernel chooses the port when the destination is known, so that addresses of \`from\` have a port for each destination too.
5. IPv6, with a block of addresses for each machine.`;
}

function fastLine({ sPerGb, sPerGbLimited, gbPerS }: Figures): string {
  const gb = GBIT / 8;
  const cores = gb * sPerGb;
  const coresLimited = gb * sPerGbLimited;
  return `## ${GBIT} Gbit/s, calculated

${table(
  ['what', 'needs', 'because'],
  [
    [
      'bytes',
      `${one(gb)} GB/s in, and as many out`,
      'a proxy receives and sends each byte: the card needs both directions',
    ],
    [
      'cores, without limits',
      `${one(cores)}, so ${Math.ceil(cores * HEAD_SPACE)} with head space`,
      `${sPerGb} CPU-s/GB`,
    ],
    [
      'cores, when every tunnel is under a bandwidth limit',
      `${one(coresLimited)}, so ${Math.ceil(coresLimited * HEAD_SPACE)} with head space`,
      `${sPerGbLimited} CPU-s/GB`,
    ],
    ['processes', `at least ${Math.ceil(gb / gbPerS)}`, `${one(gbPerS)} GB/s of one relay thread`],
    [
      'memory for buffers',
      'bandwidth × delay of each tunnel',
      'one tunnel of 1 GB/s over 50 ms needs 50 MB in the kernel (`net.ipv4.tcp_wmem`)',
    ],
  ],
)}

Two machines with cards of ${GBIT} Gbit/s are the least, so that one may be restarted.`;
}

const OPERATION = `## In operation

\`viaduct_open_requests{kind="tunnel"}\`, \`viaduct_open_files_ratio\`, \`viaduct_cpu_seconds_total\` and
\`viaduct_event_loop_delay_max_seconds\` ([METRICS.md](METRICS.md)) say how much of this an instance uses; the board "Viaduct fleet" in
[deploy/grafana/](../deploy/grafana/) shows all instances as one. [FLEET.md](FLEET.md) says how a fleet is built and restarted.`;

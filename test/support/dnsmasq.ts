import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { until } from './until.ts';

const resolvingWith = (lines: string): string =>
  `printf "${lines}" > /tmp/viaduct-resolv.$$ && mount --bind /tmp/viaduct-resolv.$$ "$(readlink -f /etc/resolv.conf)" && rm /tmp/viaduct-resolv.$$`;

/** As shell script for `runInside`: every program there asks the name server on 127.0.0.1 port 53. */
export const RESOLVE_ON_LOOPBACK: string = resolvingWith('nameserver 127.0.0.1\\noptions timeout:2 attempts:1\\n');

/** The same with the system's own patience: a name that is not answered takes 10 s (resolv.conf(5)). */
export const RESOLVE_PATIENTLY: string = resolvingWith('nameserver 127.0.0.1\\n');

/** Debian's dnsmasq on 127.0.0.1 port 53, answering from a table that a test may change; TTLs are 0. */
export class Dnsmasq implements AsyncDisposable {
  readonly #child: ReturnType<typeof spawn>;
  readonly #hosts: string;
  readonly #log: string;

  private constructor(child: ReturnType<typeof spawn>, hosts: string, log: string) {
    this.#child = child;
    this.#hosts = hosts;
    this.#log = log;
  }

  /** `folder` holds its files. Resolves when it answers. */
  static async start(folder: string, names: Readonly<Record<string, readonly string[]>>): Promise<Dnsmasq> {
    mkdirSync(folder, { recursive: true });
    const [hosts, log] = [`${folder}/hosts`, `${folder}/log`];
    writeFileSync(hosts, table(names));
    writeFileSync(log, '');
    const options = [
      ...['--keep-in-foreground', '--no-resolv', '--no-hosts', '--no-daemon', '--user=root', '--pid-file='],
      ...['--bind-interfaces', '--listen-address=127.0.0.1', '--local-ttl=0', '--local=/test/', '--log-queries'],
      ...[`--addn-hosts=${hosts}`, `--log-facility=${log}`, '--conf-file=/dev/null'],
    ];
    const child = spawn('dnsmasq', options, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
    });
    const server = new Dnsmasq(child, hosts, log);
    await server.#logged(/read .*hosts/, 0);
    return server;
  }

  /** How often a name has been asked for, by record type. */
  queries(name: string): Readonly<Record<'A' | 'AAAA', number>> {
    const log = readFileSync(this.#log, 'utf8');
    const count = (type: string) => log.split(`query[${type}] ${name} `).length - 1;
    return { A: count('A'), AAAA: count('AAAA') };
  }

  /** Gives other answers from now on. */
  async change(names: Readonly<Record<string, readonly string[]>>): Promise<void> {
    const from = readFileSync(this.#log).length;
    writeFileSync(this.#hosts, table(names));
    this.#child.kill('SIGHUP');
    await this.#logged(/read .*hosts/, from);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }

  async #logged(what: RegExp, from: number): Promise<void> {
    await until(() => {
      if (this.#child.exitCode !== null) throw new Error(`dnsmasq ended: ${readFileSync(this.#log, 'utf8')}`);
      return what.test(readFileSync(this.#log).subarray(from).toString());
    }, `dnsmasq logs ${what}`);
  }
}

const table = (names: Readonly<Record<string, readonly string[]>>): string =>
  Object.entries(names)
    .flatMap(([name, addresses]) => addresses.map((address) => `${address} ${name}\n`))
    .join('');

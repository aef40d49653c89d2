import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';

/** Another machine (a network namespace), at the other end of a cable that a test plugs and pulls. Only inside `runInside`. */
export const FAR_IP = '10.77.0.1';
const NEAR_IP = '10.77.0.2';
const CABLE = 'cable0';

/** It serves one text on port 80. */
const SERVER = `require('node:http').createServer((_, answer) => answer.end(process.env.TEXT))
  .listen(80, '0.0.0.0', () => process.stdout.write('ready'));`;

const ip = (...words: string[]): void => void execFileSync('ip', words);

export class FarNetwork implements AsyncDisposable {
  readonly #machine: ChildProcess;

  private constructor(machine: ChildProcess) {
    this.#machine = machine;
  }

  /** `server` is a program that prints something once it is ready. */
  static async start(text: string, server: string = SERVER): Promise<FarNetwork> {
    const words = ['-n', process.execPath, '-e', server];
    const machine = spawn('unshare', words, {
      env: { ...process.env, TEXT: text },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(machine.stdout, 'data');
    return new FarNetwork(machine);
  }

  /** Interface, address and route appear here one after the other. */
  plug(): void {
    ip('link', 'add', CABLE, 'type', 'veth', 'peer', 'name', 'far0', 'netns', `${this.#machine.pid}`);
    this.#inside('ip', 'addr', 'add', `${FAR_IP}/24`, 'dev', 'far0');
    this.#inside('ip', 'link', 'set', 'far0', 'up');
    ip('link', 'set', CABLE, 'up');
    ip('addr', 'add', `${NEAR_IP}/24`, 'dev', CABLE);
  }

  /** Both ends stay as they are, and nothing arrives at the other one any more; or does again. */
  carry(what: 'nothing' | 'all'): void {
    this.#inside('ip', 'link', 'set', 'far0', what === 'all' ? 'up' : 'down');
  }

  /** Sends SIGUSR2 to its server. */
  signal(): void {
    this.#machine.kill('SIGUSR2');
  }

  pull(): void {
    ip('link', 'delete', CABLE);
  }

  /** A network that lies behind the other machine: what a VPN adds. */
  addRoute(block: string): void {
    ip('route', 'add', block, 'via', FAR_IP);
  }

  /** It is there and does not respond, as behind a VPN that has died. */
  freeze(): void {
    this.#machine.kill('SIGSTOP');
  }

  thaw(): void {
    this.#machine.kill('SIGCONT');
  }

  /** Words that run a program there. */
  get entering(): readonly string[] {
    return ['nsenter', '-t', `${this.#machine.pid}`, '-n'];
  }

  #inside(...words: string[]): void {
    execFileSync('nsenter', ['-t', `${this.#machine.pid}`, '-n', ...words]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#machine.exitCode !== null) return;
    this.#machine.kill('SIGKILL');
    await once(this.#machine, 'exit');
  }
}

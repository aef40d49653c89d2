import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';

/** Another machine, at the other end of a cable that a test plugs and pulls. Only inside `runInside`. */
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

  static async start(text: string): Promise<FarNetwork> {
    const words = ['-n', process.execPath, '-e', SERVER];
    const machine = spawn('unshare', words, {
      env: { ...process.env, TEXT: text },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(machine.stdout, 'data');
    return new FarNetwork(machine);
  }

  /** Interface, address and route appear here one after the other. */
  plug(): void {
    const there = `${this.#machine.pid}`;
    ip('link', 'add', CABLE, 'type', 'veth', 'peer', 'name', 'far0', 'netns', there);
    for (const words of [
      ['addr', 'add', `${FAR_IP}/24`, 'dev', 'far0'],
      ['link', 'set', 'far0', 'up'],
    ]) {
      execFileSync('nsenter', ['-t', there, '-n', 'ip', ...words]);
    }
    ip('link', 'set', CABLE, 'up');
    ip('addr', 'add', `${NEAR_IP}/24`, 'dev', CABLE);
  }

  pull(): void {
    ip('link', 'delete', CABLE);
  }

  /** A network that lies behind the other machine: what a VPN adds. */
  addRoute(block: string): void {
    ip('route', 'add', block, 'via', FAR_IP);
  }

  /** It is there and says nothing, as behind a VPN that has died. */
  freeze(): void {
    this.#machine.kill('SIGSTOP');
  }

  thaw(): void {
    this.#machine.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#machine.exitCode !== null) return;
    this.#machine.kill('SIGKILL');
    await once(this.#machine, 'exit');
  }
}

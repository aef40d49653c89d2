import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises';

/** An address that does not answer: a connection attempt there lasts until its own timeout. */
export interface BlackHole extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** From now on it accepts, and sends `late`: an open attempt succeeds when the kernel sends its SYN again, within 2 s. */
  wake(): void;
  /** Answers no more, as at first. */
  sleep(): Promise<void>;
}

const LISTENER = `
const server = require('node:net').createServer((socket) => socket.on('error', () => {}).end('late'));
server.listen({ host: process.argv[1], port: 0, backlog: 1 }, () => console.log(server.address().port));`;

/** A connection on loopback takes microseconds; one that takes so long has found a full backlog. */
const FULL_MS = 100;

/** A full backlog drops SYNs as a firewall does: the listening process is stopped, and other sockets fill its queue. */
export async function blackHole(host: string = '127.0.0.1'): Promise<BlackHole> {
  const child = spawn(process.execPath, ['-e', LISTENER, host], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(child.stdout, 'data');
  const port = Number(line);
  const fillers: Socket[] = [];
  const sleep = async () => {
    child.kill('SIGSTOP');
    for (let isFull = false; !isFull; ) {
      const filler = connect({ host, port });
      filler.on('error', () => undefined);
      fillers.push(filler);
      const connected = once(filler, 'connect');
      await Promise.race([connected, wait(FULL_MS)]);
      // On a loaded machine both may be due, and the event loop runs the timer first.
      await nextTurn();
      isFull = filler.connecting;
    }
  };
  await sleep();
  return {
    host,
    port,
    wake() {
      for (const filler of fillers) filler.destroy();
      child.kill('SIGCONT');
    },
    sleep,
    async [Symbol.asyncDispose]() {
      for (const filler of fillers) filler.destroy();
      child.kill('SIGKILL');
      await once(child, 'close');
    },
  };
}

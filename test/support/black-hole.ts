import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises';

/** An address that answers nothing: connecting to it takes as long as somebody is willing to wait. */
export interface BlackHole extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** From now on it accepts, and says `late`. Whoever waits gets through when the kernel asks again, within 2 s. */
  wake(): void;
}

const LISTENER = `
const server = require('node:net').createServer((socket) => socket.on('error', () => {}).end('late'));
server.listen({ host: process.argv[1], port: 0, backlog: 1 }, () => console.log(server.address().port));`;

/** A full backlog hides a port as well as a firewall does: the listener is stopped, and others fill its queue. */
export async function blackHole(host: string = '127.0.0.1'): Promise<BlackHole> {
  const child = spawn(process.execPath, ['-e', LISTENER, host], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(child.stdout, 'data');
  const port = Number(line);
  child.kill('SIGSTOP');
  const fillers: Socket[] = [];
  for (let isFull = false; !isFull; ) {
    const filler = connect({ host, port });
    filler.on('error', () => undefined);
    fillers.push(filler);
    const connected = once(filler, 'connect');
    await Promise.race([connected, wait(100)]);
    // On a busy machine both may be due, and the timer is asked first.
    await nextTurn();
    isFull = filler.connecting;
  }
  return {
    host,
    port,
    wake() {
      for (const filler of fillers) filler.destroy();
      child.kill('SIGCONT');
    },
    async [Symbol.asyncDispose]() {
      for (const filler of fillers) filler.destroy();
      child.kill('SIGKILL');
      await once(child, 'close');
    },
  };
}

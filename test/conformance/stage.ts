import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messagesIn } from '../support/http-messages.ts';
import { MACHINE_IP } from '../support/namespace.ts';
import { ok, RawOrigin } from '../support/origin.ts';
import type { RawPeer } from '../support/raw-client.ts';
import { type Case, fillIn, type Names, type Profile } from './cases.ts';
import { PROFILES } from './profiles.ts';

const HOST = '127.0.0.1';
const MAIN = new URL('../../src/cli/main.ts', import.meta.url).pathname;

/** One profile's proxy, as a user starts it, and its origin. Cases are played on it one after the other. */
export class Stage implements AsyncDisposable {
  readonly origin: RawOrigin;
  readonly port: number;
  readonly names: Names;
  readonly #proxy: ChildProcess;
  readonly #folder: string;
  /** Access log and messages of the proxy. */
  log = '';
  #playing: Case | undefined;
  #answeredScript = false;
  #from = 0;

  private constructor(origin: RawOrigin, port: number, proxy: ChildProcess, folder: string) {
    this.origin = origin;
    this.port = port;
    this.#proxy = proxy;
    this.#folder = folder;
    this.names = {
      ORIGIN_HOST: HOST,
      ORIGIN_PORT: String(origin.port),
      ORIGIN_PORT_PLUS_65536: String(origin.port + 65_536),
      PROXY_PORT: String(port),
      MACHINE_IP,
    };
  }

  static async open(profile: Profile): Promise<Stage> {
    let stage: Stage | undefined;
    const origin = await RawOrigin.listen((peer) => stage?.serve(peer), { host: HOST });
    const folder = mkdtempSync(join(tmpdir(), 'viaduct-cases-'));
    const file = join(folder, 'viaduct.json');
    writeFileSync(file, JSON.stringify(PROFILES[profile]({ host: HOST, port: origin.port })));
    const proxy = spawn(process.execPath, [MAIN, '-c', file], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    const port = await new Promise<number>((resolve, reject) => {
      proxy.stderr?.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        const found = /listening on http:\/\/\S+:(\d+)\n/.exec(said)?.[1];
        if (found !== undefined) resolve(Number(found));
        if (stage !== undefined) stage.log += text;
      });
      proxy.on('exit', (code) => reject(new Error(`the proxy ended with ${code}: ${said}`)));
    });
    stage = new Stage(origin, port, proxy, folder);
    proxy.stdout?.setEncoding('utf8').on('data', (text: string) => {
      if (stage !== undefined) stage.log += text;
    });
    return stage;
  }

  get isRunning(): boolean {
    return this.#proxy.exitCode === null && this.#proxy.signalCode === null;
  }

  /** Forgets what was before: the origin answers as this case says from now on. */
  begin(playing: Case | undefined): void {
    for (const { socket } of this.origin.connections) socket.destroy();
    this.#playing = playing;
    this.#answeredScript = false;
    this.#from = this.origin.connections.length;
    this.origin.openMost = 0;
    this.log = '';
  }

  /** The origin's connections of this case. */
  get seen(): readonly RawPeer[] {
    return this.origin.connections.slice(this.#from);
  }

  serve(peer: RawPeer): void {
    let answered = 0;
    peer.socket.on('data', () => {
      const requests = messagesIn(peer.received, { kind: 'request' });
      for (const request of requests.slice(answered)) {
        if (!request.complete && this.#playing?.originEarly !== true) break;
        answered += 1;
        this.#answer(peer, request.startLine, /close/i.test(request.fields.get('connection') ?? ''));
      }
    });
    peer.socket.on('end', () => peer.end());
  }

  #answer(peer: RawPeer, startLine: string, isLast: boolean): void {
    const { originReply, originClose } = this.#playing ?? {};
    if (originReply !== undefined && !this.#answeredScript) {
      this.#answeredScript = true;
      peer.send(fillIn(originReply, this.names));
      if (originClose === true) peer.end();
      return;
    }
    peer.send(startLine.startsWith('HEAD ') ? ok('ok').slice(0, -2) : ok('ok'));
    if (isLast) peer.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#proxy.removeAllListeners('exit');
    if (this.isRunning) {
      this.#proxy.kill('SIGKILL');
      await once(this.#proxy, 'exit');
    }
    await this.origin[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true });
  }
}

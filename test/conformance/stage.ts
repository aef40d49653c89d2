import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { ConfigInput } from '../../src/config/schema.ts';
import { selfSigned } from '../support/certificate.ts';
import { messagesIn } from '../support/http-messages.ts';
import { MACHINE_IP } from '../support/namespace.ts';
import { ok, RawOrigin } from '../support/origin.ts';
import type { RawPeer } from '../support/raw-client.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary.ts';
import { type Case, fillIn, type Names, type Profile } from './cases.ts';
import { PROFILES } from './profiles.ts';
import { TlsRelay } from './tls-relay.ts';

const HOST = '127.0.0.1';
const MAIN = new URL('../../src/cli/main.ts', import.meta.url).pathname;

/** What lies between the clients of the cases and the proxy. */
export type Transport = 'tcp' | 'tls';

/** The same addresses, inside TLS. */
function secured(config: ConfigInput, folder: TemporaryFolder): ConfigInput {
  const { cert, key } = selfSigned();
  const tls = { cert: folder.write('own.pem', cert), key: folder.write('own.key', key) };
  const written = [config.listen ?? []].flat();
  return {
    ...config,
    listen: written.flatMap((one) => (typeof one === 'string' ? [{ url: `https://${one}`, tls }] : [])),
  };
}

/** One profile's proxy, started as a user starts it, and its origin. Cases run on it one after the other. */
export class Stage implements AsyncDisposable {
  readonly origin: RawOrigin;
  /** Where clients of the cases connect: the proxy, or what puts TLS around their bytes. */
  readonly clientPort: number;
  readonly names: Names;
  readonly #proxy: ChildProcess;
  readonly #folder: TemporaryFolder;
  readonly #tls: TlsRelay | undefined;
  /** Access log and messages of the proxy. */
  log = '';
  /** All that the origin received in this case, in the order of its arrival, over all connections. */
  originText = '';
  #playing: Case | undefined;
  #answeredScript = false;
  #from = 0;

  private constructor(
    origin: RawOrigin,
    port: number,
    proxy: ChildProcess,
    folder: TemporaryFolder,
    tls: TlsRelay | undefined,
  ) {
    this.origin = origin;
    this.clientPort = tls?.port ?? port;
    this.#tls = tls;
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

  static async open(profile: Profile, over: Transport): Promise<Stage> {
    let stage: Stage | undefined;
    const origin = await RawOrigin.listen((peer) => stage?.serve(peer), { host: HOST });
    const folder = temporaryFolder();
    const config = PROFILES[profile]({ host: HOST, port: origin.port });
    const file = folder.write('viaduct.json', over === 'tls' ? secured(config, folder) : config);
    const proxy = spawn(process.execPath, [MAIN, '-c', file], { stdio: ['ignore', 'pipe', 'pipe'] });
    let printed = '';
    const port = await new Promise<number>((resolve, reject) => {
      proxy.stderr?.setEncoding('utf8').on('data', (text: string) => {
        printed += text;
        const found = /listening on https?:\/\/\S+:(\d+)\n/.exec(printed)?.[1];
        if (found !== undefined) resolve(Number(found));
        if (stage !== undefined) stage.log += text;
      });
      proxy.on('exit', (code) => reject(new Error(`the proxy ended with ${code}: ${printed}`)));
    });
    const tls = over === 'tls' ? await TlsRelay.to(port) : undefined;
    stage = new Stage(origin, port, proxy, folder, tls);
    proxy.stdout?.setEncoding('utf8').on('data', (text: string) => {
      if (stage !== undefined) stage.log += text;
    });
    return stage;
  }

  get isRunning(): boolean {
    return this.#proxy.exitCode === null && this.#proxy.signalCode === null;
  }

  /** Forgets the case before: the origin answers as this case says from now on. */
  begin(playing: Case | undefined): void {
    for (const { socket } of this.origin.connections) socket.destroy();
    this.#playing = playing;
    this.#answeredScript = false;
    this.#from = this.origin.connections.length;
    this.origin.openMost = 0;
    this.log = '';
    this.originText = '';
  }

  /** The origin's connections of this case. */
  get seen(): readonly RawPeer[] {
    return this.origin.connections.slice(this.#from);
  }

  serve(peer: RawPeer): void {
    let answered = 0;
    peer.socket.on('data', (chunk: Buffer) => {
      this.originText += chunk.toString('latin1');
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
    this.#tls?.[Symbol.dispose]();
    this.#proxy.removeAllListeners('exit');
    if (this.isRunning) {
      this.#proxy.kill('SIGKILL');
      await once(this.#proxy, 'exit');
    }
    await this.origin[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

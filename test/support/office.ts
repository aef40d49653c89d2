import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Running, viaduct } from './cli.ts';
import { OfficeProxy } from './office-proxy.ts';
import { temporaryFolder } from './temporary.ts';
import { Web } from './web.ts';

/** A laptop in an office: Viaduct in front of a proxy that requires NTLM, and behind that a website and a git repository. */
export class Office implements AsyncDisposable {
  readonly proxy: OfficeProxy;
  readonly web: Web;
  /** Of Viaduct. */
  readonly port: number;
  /** Where Viaduct says that it runs: `XDG_STATE_HOME`. */
  readonly stateHome: string;
  readonly #close: () => Promise<void>;

  private constructor(proxy: OfficeProxy, web: Web, port: number, stateHome: string, close: () => Promise<void>) {
    this.stateHome = stateHome;
    this.proxy = proxy;
    this.web = web;
    this.port = port;
    this.#close = close;
  }

  /** `more`: settings of Viaduct. */
  static async open(more: object = {}): Promise<Office> {
    const folder = temporaryFolder();
    makeRepository(folder.path);
    const web = await Web.open({ repositories: join(folder.path, 'repositories') });
    const proxy = await OfficeProxy.start(web);
    const account = { user: 'me', domain: 'CORP', from: 'env:PW' };
    const settings = { listen: 'localhost:0', admin: false, log: { format: 'off' }, credentials: { default: account } };
    const config = folder.write('viaduct.yaml', { ...settings, routes: { proxy: proxy.url, noProxy: [] }, ...more });
    const running: Running = viaduct(['--config', config], {
      PW: 'secret',
      HOME: folder.path,
      XDG_STATE_HOME: folder.path,
    });
    const port = await running.port();
    return new Office(proxy, web, port, folder.path, async () => {
      running[Symbol.dispose]();
      await running.ended;
      await proxy[Symbol.asyncDispose]();
      await web[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }
}

/** `one.git`: a crate of Rust, which is a repository with a few files for every other tool. */
function makeRepository(folder: string): void {
  const work = join(folder, 'work');
  mkdirSync(join(work, 'src'), { recursive: true });
  writeFileSync(join(work, 'Cargo.toml'), '[package]\nname = "one"\nversion = "0.1.0"\n');
  writeFileSync(join(work, 'src', 'lib.rs'), '');
  const git = (...words: string[]) =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@t', '-c', 'init.defaultBranch=main', ...words], {
      cwd: work,
      stdio: 'ignore',
    });
  git('init', '-q');
  git('add', '.');
  git('commit', '-q', '-m', 'one');
  git('clone', '-q', '--bare', work, join(folder, 'repositories', 'one.git'));
}

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { until } from './until.ts';

/** What tests with a bus or a keyring need, for `missing()`. */
export const KEYRING_PACKAGES = ['dbus-daemon', 'dbus-bin', 'gnome-keyring', 'libsecret-tools'] as const;

const COLLECTION = '/org/freedesktop/secrets/collection/login';
/** A bus answers within milliseconds; a keyring that creates its first collection takes a second on a loaded machine. */
const START_MS = 15_000;
/** A call that waits for a person who unlocks the keyring blocks the process of its test, and no time limit of a test ends that. */
const CALL_MS_MAX = 10_000;

/** A session bus of its own, at a socket in `folder`; disposing ends it. */
export class TestBus implements AsyncDisposable {
  readonly path: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, path: string) {
    this.#child = child;
    this.path = path;
  }

  /** `starts`: commands that the bus runs when a client calls a name without an owner, by name. */
  static async start(folder: string, starts: Readonly<Record<string, string>> = {}): Promise<TestBus> {
    const [path, config, services] = [`${folder}/bus`, `${folder}/bus.conf`, `${folder}/services`];
    mkdirSync(services, { recursive: true });
    for (const [name, command] of Object.entries(starts)) {
      writeFileSync(`${services}/${name}.service`, `[D-BUS Service]\nName=${name}\nExec=${command}\n`);
    }
    writeFileSync(
      config,
      `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
         "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
       <busconfig>
         <type>session</type>
         <listen>unix:path=${path}</listen>
         <servicedir>${services}</servicedir>
         <policy context="default">
           <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
         </policy>
       </busconfig>`,
    );
    const child = spawn('dbus-daemon', [`--config-file=${config}`, '--nofork', '--nopidfile'], { stdio: 'ignore' });
    const bus = new TestBus(child, path);
    await until(() => holds(() => bus.#answers('org.freedesktop.DBus')), 'the bus answers', START_MS);
    return bus;
  }

  get address(): string {
    return `unix:path=${this.path}`;
  }

  get environment(): { readonly DBUS_SESSION_BUS_ADDRESS: string } {
    return { DBUS_SESSION_BUS_ADDRESS: this.address };
  }

  /** Calls a method as `dbus-send` does: the bus starts the service if it must. Gives what it prints. */
  send(destination: string, path: string, method: string, ...args: readonly string[]): string {
    const words = ['--session', '--print-reply=literal', '--reply-timeout=2000', `--dest=${destination}`];
    return execFileSync('dbus-send', [...words, path, method, ...args], {
      env: { ...process.env, ...this.environment },
      encoding: 'utf8',
      timeout: CALL_MS_MAX,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  }

  #answers(name: string): boolean {
    const printed = this.send('org.freedesktop.DBus', '/', 'org.freedesktop.DBus.NameHasOwner', `string:${name}`);
    return printed.includes('true');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child);
  }
}

/** GNOME's keyring without a desktop: unlocked, on a bus of its own. Disposing ends both. */
export class TestKeyring implements AsyncDisposable {
  readonly bus: TestBus;
  readonly #child: ChildProcess;

  private constructor(bus: TestBus, child: ChildProcess) {
    this.bus = bus;
    this.#child = child;
  }

  /** `folder` holds the socket: its path must stay short. */
  static async start(folder: string): Promise<TestKeyring> {
    const bus = await TestBus.start(folder);
    const home = `${folder}/home`;
    mkdirSync(`${home}/run`, { recursive: true, mode: 0o700 });
    const child = spawn('gnome-keyring-daemon', ['--foreground', '--unlock', '--components=secrets'], {
      env: { PATH: process.env.PATH, HOME: home, XDG_RUNTIME_DIR: `${home}/run`, ...bus.environment },
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    // What unlocks the collection, and creates it the first time.
    child.stdin?.end('test');
    const keyring = new TestKeyring(bus, child);
    await until(() => holds(() => keyring.#isUnlocked()), 'the keyring is unlocked', START_MS);
    return keyring;
  }

  /** Stores an entry as `secret-tool` does, in the way of Alpaca's instructions. */
  store(service: string, username: string, secret: string): void {
    execFileSync('secret-tool', ['store', '--label=test', 'service', service, 'username', username], {
      env: { ...process.env, ...this.bus.environment },
      input: secret,
      timeout: CALL_MS_MAX,
    });
  }

  /** What is stored, as `secret-tool` reads it; empty when there is nothing. */
  look(service: string, username: string): string {
    try {
      return execFileSync('secret-tool', ['lookup', 'service', service, 'username', username], {
        env: { ...process.env, ...this.bus.environment },
        encoding: 'utf8',
        timeout: CALL_MS_MAX,
      });
    } catch {
      return '';
    }
  }

  lock(): void {
    const method = 'org.freedesktop.Secret.Service.Lock';
    this.bus.send('org.freedesktop.secrets', '/org/freedesktop/secrets', method, `array:objpath:${COLLECTION}`);
  }

  #isUnlocked(): boolean {
    const method = 'org.freedesktop.DBus.Properties.Get';
    const args = ['string:org.freedesktop.Secret.Collection', 'string:Locked'];
    return this.bus.send('org.freedesktop.secrets', COLLECTION, method, ...args).includes('false');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child);
    await this.bus[Symbol.asyncDispose]();
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** Whether a command reports it; one that fails has found no service yet. */
function holds(reports: () => boolean): boolean {
  try {
    return reports();
  } catch {
    return false;
  }
}
